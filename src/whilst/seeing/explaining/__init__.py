"""From events to causes, tasks and sentences; pure: no clock, no process, and no file but the source to be quoted."""
