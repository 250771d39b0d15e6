"""Clients: their keys, rules, limits and budgets, and the files and batches that are kept for them."""
