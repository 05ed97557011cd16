"""Prompts as files: a directory that mirrors the service, one file per prompt."""
