"""State that outlives a request, behind small async interfaces: in memory, in SQLite, in Redis, and the ledger."""
