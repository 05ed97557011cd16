"""What a call is: described, written, read; no I/O."""
