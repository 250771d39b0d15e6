"""Gemini's side: its messages, its answers as events, its errors, and what each model can do. Pure."""
