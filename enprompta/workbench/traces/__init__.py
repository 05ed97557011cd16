"""One trace: its spans as a waterfall, and each span in a dialog."""
