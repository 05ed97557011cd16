"""HTTP API of the emulator."""
