"""Tests of the verification methods, a file each."""
