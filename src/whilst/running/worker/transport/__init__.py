"""What travels between a program and its workers: frames, values, exceptions, shared memory.

Loaded by both sides, and by a bare interpreter: imports C modules and light parts of the standard library only.
"""
