"""Which executions to run: one strategy a file."""
