"""Load: places and memory of requests, and refusals while there is more work than can be done."""
