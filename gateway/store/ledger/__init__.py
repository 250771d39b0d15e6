"""The ledger: a row for each call of Gemini, client keys and budgets."""
