"""Keeps bodies of requests and answers, for a search of faults."""
