"""One request: its calls of Gemini, and the answers that go back."""
