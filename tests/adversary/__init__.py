"""A search for the body that keeps the gateway busy longest: `make test-adversary`."""
