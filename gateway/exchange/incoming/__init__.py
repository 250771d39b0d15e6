"""The request as it arrives: bodies, forms, WebSocket messages, the address of the client, a place in the queue."""
