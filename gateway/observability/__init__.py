"""Request log, statistics, metrics, traces."""
