"""The server thread and fault injection."""
