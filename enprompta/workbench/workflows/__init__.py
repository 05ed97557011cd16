"""The parts of the page of one workflow: its graph, its runs, and a form to start one."""
