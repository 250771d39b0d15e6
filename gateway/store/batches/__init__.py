"""Batches of clients: a SQLite database of what they are, and their requests and answers on disk."""
