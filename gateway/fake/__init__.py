"""A Gemini emulator: `gateway fake`, the demo's and the tests' upstream."""
