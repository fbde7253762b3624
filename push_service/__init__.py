"""A multi-factor verification service: who signed in with a password proves it once more on a phone."""

__version__ = "0.1.0"
