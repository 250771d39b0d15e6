"""Projects and keys of the pool: which to use for a call, and what the end of a call says of them."""
