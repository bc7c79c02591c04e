"""One execution, event by event: tasks as greenlets, one runs at a time, the plan says which."""
