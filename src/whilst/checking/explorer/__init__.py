"""Runs one execution from a list of choices, on instrumented code, and says how it ended."""
