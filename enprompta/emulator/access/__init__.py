"""Accounts, keys, scopes, rate limits and idempotency keys."""
