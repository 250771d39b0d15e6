"""The `embeddings` plugin."""
