"""The way to Gemini: the only place that opens connections."""
