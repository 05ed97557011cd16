"""The blocking and the async client."""
