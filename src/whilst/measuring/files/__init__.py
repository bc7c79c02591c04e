"""Which files a call touches, and what the commands do that it starts."""
