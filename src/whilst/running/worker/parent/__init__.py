"""The program's side of its worker processes: starting them, sending calls, knowing what each of them holds."""
