"""The `native` plugin."""
