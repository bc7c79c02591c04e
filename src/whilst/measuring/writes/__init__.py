"""What a call writes that outlives it: told from its code (`scan`) and from looks at what it can reach."""
