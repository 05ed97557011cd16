"""Access control: trusted hosts, accounts, keys, scopes, rate limits and idempotency keys."""
