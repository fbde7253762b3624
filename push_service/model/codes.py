"""Codes that people type: six digits, as they stand on the phone; or letters and digits, as they are printed."""

from __future__ import annotations

import base64

CODE_DIGITS = 6
DRAWN_DIGITS = 8
"""How many are drawn for a challenge: as many as the longest code has."""


def is_code(text: str) -> bool:
    """Whether it is a code as typed: six ASCII digits, leading zeros included, and nothing else."""
    return len(text) == CODE_DIGITS and text.isascii() and text.isdigit()


PRINTED_CODE_BYTES = 10
"""80 bits: more than the 64 from which on a look-up secret needs no limit on tries (NIST SP 800-63B-4, 3.1.2.2)."""
_GROUP = 4


def printed_code(entropy: bytes) -> str:
    """A code as it is printed: base32 without capitals, in groups of four. It has no 0, 1, 8 or 9 to be misread."""
    letters = base64.b32encode(entropy).decode().rstrip("=").lower()
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))


def normal_code(text: str) -> str:
    """A printed code as it is compared: however it was grouped, and whether or not in capitals."""
    return "".join(char for char in text.lower() if char.isalnum())


def is_printed_code(text: str) -> bool:
    """Whether it has as many letters and digits as a printed code."""
    normal = normal_code(text)
    return normal.isascii() and len(normal) == PRINTED_CODE_BYTES * 8 // 5
