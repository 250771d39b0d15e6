"""Tells one webhook what an operator must know."""
