"""Send requests through the supported HTTP libraries."""
