"""The way to projects on Vertex AI."""
