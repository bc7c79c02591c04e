"""The loop that moves a run on: input, driver, worker pool, output. Decides nothing; asks the policy."""
