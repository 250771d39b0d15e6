"""The process: start, reload, stop, and what runs beside the requests."""
