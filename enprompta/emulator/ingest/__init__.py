"""OTLP ingest: read requests in both encodings, and map spans of both conventions to traces."""
