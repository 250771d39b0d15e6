"""Connections to Gemini, and to servers of files that messages link to."""
