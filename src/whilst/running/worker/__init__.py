"""What runs inside worker processes, and what the program has to do with them.

`child` and `transport` are also loaded by a bare interpreter that must be ready within milliseconds. So their modules
import each other, `calls.one_argument`, C modules and the few parts of the standard library that are loaded anyway:
nothing else of whilst, and nothing of the user's before a call needs it. `calls.bare` imports single modules there.
Where a format has two sides, both stand in one module.

    child       fork_server (forks workers, kills them, reports deaths), after_fork (what a worker does first), main
                (from there to its end), serial, threaded, looped (the ways to make calls), environment (what
                surrounds a call)
    transport   wire (frames), messages (what they mean), serialization (values to bytes and back), shared_memory,
                status_page (what a worker does now), exceptions (with their tracebacks), pickle_errors
    parent      fork and fork_server_client (two ways to start a worker), in_flight (the calls that a worker holds),
                task_channel (sends calls, receives answers), pickled_job

`captured_output` holds both sides of what calls print and log.
"""
