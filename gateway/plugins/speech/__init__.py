"""The `speech` plugin."""
