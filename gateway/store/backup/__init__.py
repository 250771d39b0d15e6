"""Backups of the SQLite stores: one tar file with a copy of each and a manifest, and the way back from it."""
