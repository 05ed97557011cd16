"""Helpers that several parts of the package share; none of them depends on the API."""
