"""What code and objects are: whose code, what C functions do, what belongs to the process, may it be forked.

Asked by measuring and by checking; runs none of the code that it looks at.
"""
