"""Checks prompts and answers by patterns or a webhook."""
