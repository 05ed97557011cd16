"""The Workbench: see, try and debug everything in a browser, on your account or on the emulator."""
