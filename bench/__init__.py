"""Measurements of the gateway under load."""
