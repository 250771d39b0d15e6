"""`GET /v1/key` and the page `/usage`, for those who hold a key."""
