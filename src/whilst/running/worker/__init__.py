"""What runs inside worker processes, and the clean server process that forks them.

Everything here is also loaded by a bare interpreter that must be ready within milliseconds, so these modules
import each other, C modules and the few parts of the standard library that are loaded anyway; nothing else of
whilst, and nothing of the user's before a call needs it. The parent's side of each pair (the channel, the
segments, the payloads) lives next to the worker's, so that a format is written down once.

    a worker    server (forks, kills, reports deaths), birth (what a fork does first), entering (from there to exit),
                styles, serial, threaded, looped
    both sides  wire (frames), frames (what they mean), segments (shared memory), payload (values to bytes and
                back), byvalue (lambdas, __main__), blame (why not), failures (exceptions with their tracebacks),
                ambient (what surrounds a call), echoing (prints, logs, warnings), page (what a worker does now)
    the parent  launching (the server), forking (the program itself), hands (what a worker holds), jobs,
                parcels (sending, receiving), refusing
"""
