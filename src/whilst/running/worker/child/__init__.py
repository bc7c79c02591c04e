"""What runs inside a worker process, and the server that forks workers.

Loaded by a bare interpreter that must be ready within milliseconds: imports only `worker.transport` and light
modules of the standard library.
"""
