"""Plugins of this suite for pytest."""
