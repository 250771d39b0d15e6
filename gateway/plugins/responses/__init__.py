"""The `responses` plugin."""
