"""How a call travels: credentials, settings, retries, and the two transports."""
