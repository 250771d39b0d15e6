"""The `transcription` plugin."""
