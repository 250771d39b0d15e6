"""What travels: typed messages and framing, for both sides."""
