"""Helpers that several parts of the package share; they know nothing of the API."""
