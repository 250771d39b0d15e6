"""The `moderations` plugin."""
