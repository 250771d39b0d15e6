"""One request's calls of Gemini: attempts, recovery, hedging and delivery."""
