"""The parts of the page of one prompt: editor, variables, runs, versions and history."""
