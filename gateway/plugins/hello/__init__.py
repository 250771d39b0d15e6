"""Answers for paths that no other plugin serves, and the page at `/`."""
