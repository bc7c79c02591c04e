"""What code and objects are: whose code, what C functions do, what belongs to the process, may it be forked.

Used by measuring and by checking. Nothing here runs the code that it looks at.
"""
