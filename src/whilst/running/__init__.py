"""Makes the calls of a run: one after another, in overlap, side by side, or both.

General layout, along the way of an item: items -> `core.inputs` -> `core.driver` <-> a policy (directives out, status
in) -> `core.worker_pool` (its books: `core.pool_state`) -> a back end -> `calls.perform` -> a `Finished` -> the driver
-> `core.outputs` -> `Results`. `verbs` are what users call, `jobs` the nouns; `policies` choose, `executor` takes
calls one by one, `worker` is what runs in another process and its side of the pipe here.

Imports: a run of short calls takes less time than `typing` takes to be imported. So the modules that such a run, or one
in forked processes, loads write `TYPE_CHECKING = False`, and import within a function what only other runs need.
`tests/running/test_imports.py` guards it. All others import at their top.
"""
