"""The `caching` plugin."""
