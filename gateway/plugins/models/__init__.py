"""The `models` plugin."""
