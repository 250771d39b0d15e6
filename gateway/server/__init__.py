"""The HTTP side: application, middleware, replies, life cycle, log."""
