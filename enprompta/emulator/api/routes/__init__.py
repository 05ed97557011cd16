"""Routes of the API, one file per resource of the API reference."""
