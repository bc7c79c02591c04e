"""Code rewritten so that every access to something shared becomes an event."""
