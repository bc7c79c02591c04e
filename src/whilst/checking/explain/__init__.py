"""From a failing execution to what a person reads: shrunk, named, recorded, with a token to run it again."""
