"""Schemas of tools and of structured output, in the form that Gemini takes."""
