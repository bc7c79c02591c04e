"""Event loops and coroutine tasks as the check sees them."""
