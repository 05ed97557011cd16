"""Parts that every package may use."""
