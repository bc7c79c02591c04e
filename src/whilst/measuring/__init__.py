"""What one call is like (work, wait, GIL held, payload, what it writes) and what the machine is like.

Nothing is imported here: a run of short calls needs the clocks alone.
"""
