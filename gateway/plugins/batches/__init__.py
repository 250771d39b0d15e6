"""The `batches` plugin."""
