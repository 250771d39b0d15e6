"""Models: names, kinds, successors, fallbacks and prices."""
