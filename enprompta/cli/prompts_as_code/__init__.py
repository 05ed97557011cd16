"""Prompts as files: a directory that holds what the service holds, one file a prompt."""
