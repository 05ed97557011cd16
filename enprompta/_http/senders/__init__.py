"""Connections: the libraries that send a request's bytes."""
