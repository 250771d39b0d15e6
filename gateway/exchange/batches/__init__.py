"""Batches: their lines are read, sent to Google in parts, looked at, and answered."""
