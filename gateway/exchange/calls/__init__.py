"""One call of Gemini: its cost, its attempts, their recovery, a second one beside a silent first."""
