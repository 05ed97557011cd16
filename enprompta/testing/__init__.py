"""Tools to test an application that uses this package: see `enprompta.testing.plugin` for pytest's fixtures."""
