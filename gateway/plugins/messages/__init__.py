"""The `messages` plugin."""
