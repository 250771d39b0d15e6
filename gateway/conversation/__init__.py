"""A conversation in Gemini's terms, built from any client's dialect. Pure."""
