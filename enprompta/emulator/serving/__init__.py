"""The server's thread, and fault injection."""
