"""Send calls over HTTP: credentials, settings, retries, and the two drivers."""
