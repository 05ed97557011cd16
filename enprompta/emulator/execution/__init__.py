"""Execution of prompts and workflows."""
