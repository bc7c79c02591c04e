"""What runs inside worker processes, and the clean server process that forks them.

Everything here is also loaded by a bare interpreter that must be ready within milliseconds, so these modules
import each other, C modules and the few parts of the standard library that are loaded anyway; nothing else of
whilst, and nothing of the user's before a call needs it. The parent's side of each pair (the channel, the
segments, the payloads) lives next to the worker's, so that a format is written down once.

    launching   the parent's side of the server       wire       frames and file descriptors over a socket
    server      forks, kills, reports deaths          segments   large buffers in shared memory
    entering    a worker from fork to exit            payload    values to bytes and back, one by one
    serial, threaded, looped  how calls are made      byvalue    what plain pickle can't: lambdas, __main__
    ambient     cwd, environment, context, log levels blame      which attribute can't be pickled, and why
    echoing     prints, logs and warnings             failures   exceptions with their tracebacks
    cell        what a worker is doing right now
"""
