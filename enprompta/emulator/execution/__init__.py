"""Running prompts and workflows."""
