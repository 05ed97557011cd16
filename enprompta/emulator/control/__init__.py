"""The control interface: everything about an emulator that the API itself has no call for."""
