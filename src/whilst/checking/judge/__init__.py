"""How an execution ended, and whether some sequential order ends the same way."""
