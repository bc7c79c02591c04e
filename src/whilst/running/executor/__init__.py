"""`Executor`: a `concurrent.futures.Executor` on the same driver, pool and back ends as `map`."""
