"""Answers on their way to the client: whole or streamed, errors, and pages for browsers."""
