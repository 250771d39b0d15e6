"""The `chat` plugin."""
