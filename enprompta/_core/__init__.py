"""Describe API calls, encode their requests and decode their results, without I/O."""
