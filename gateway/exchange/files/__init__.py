"""Files of clients, and their copies at Google."""
