"""Codes that people type: six digits, as they stand on the phone."""

from __future__ import annotations

CODE_DIGITS = 6
DRAWN_DIGITS = 8
"""How many are drawn for a challenge: as many as the longest code has."""


def is_code(text: str) -> bool:
    """Whether it is a code as typed: six ASCII digits, leading zeros included, and nothing else."""
    return len(text) == CODE_DIGITS and text.isascii() and text.isdigit()
