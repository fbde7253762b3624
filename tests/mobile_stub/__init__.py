"""Tests of the stub world, against a small service of their own that was written from the protocol alone."""
