"""Gemini emulator for tests and demos (`gateway fake`); it shares no code with the gateway."""
