"""Who chooses how a run goes on: a policy for each mode, and what they share.

Pure as far as it can be: figures and answers go in, directives come out. Starts nothing and waits for nothing.
"""
