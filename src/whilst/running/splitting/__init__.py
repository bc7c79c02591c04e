"""Divides one big task into parts, and shows that dividing it did not change what it gives.

Where to cut depends on the whole alone (`chunks`, `files`, `frames`), never on workers or timing. A part is an item of
an ordinary map, whose function is "fold this part" (`fold`) or the user's own. What comes back is joined in order, in a
tree whose shape depends on the number of parts alone (`joining`), while `evidence` holds it against the same thing
undivided. `api` has the verbs.
"""
