"""Between dialects and Gemini: pure functions and small state machines, bytes and Structs only."""
