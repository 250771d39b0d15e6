"""A third party."""
