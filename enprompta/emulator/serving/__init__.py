"""The server thread, its clock, and fault injection."""
