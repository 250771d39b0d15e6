"""Gemini's Live API, and its ephemeral tokens."""
