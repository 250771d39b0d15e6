"""OpenAI's images endpoints, by Gemini's image models."""
