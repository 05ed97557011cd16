"""The one place the version is written; the build reads it from here."""

VERSION = __version__ = "2.0.0"
