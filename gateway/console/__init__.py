"""The operators' console: its admin API, and the pages in `static` that use it."""
