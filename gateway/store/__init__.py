"""State that outlives a request: small async interfaces, kept in memory or in a SQLite file."""
