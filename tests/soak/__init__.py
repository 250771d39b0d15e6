"""Long runs against a gateway of its own process; each is a target of the Makefile and ends in one line with figures."""
