"""Where calls are made, if not on this machine alone: on a cluster as asked, or on whichever of the two is faster."""
