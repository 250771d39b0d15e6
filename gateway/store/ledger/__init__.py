"""The ledger: a row for each call of Gemini, issued keys, and budgets, in SQLite or PostgreSQL."""
