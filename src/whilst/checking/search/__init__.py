"""Which executions to make: one strategy a file."""
