"""When a call may begin, how long it may take, and whether it is made again. Loaded by runs that ask for it.

`retrying` and `rate_limit` only decide, from what they are told; `pace` holds what waits for its time, and `deadline`
ends a run that has none left.
"""
