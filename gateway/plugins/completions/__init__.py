"""The `completions` plugin."""
