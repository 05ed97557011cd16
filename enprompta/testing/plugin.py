"""The fixtures of pytest's plugin `enprompta`."""
