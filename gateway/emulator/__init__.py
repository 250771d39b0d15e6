"""A Gemini emulator for tests and demos (`gateway fake`)."""
