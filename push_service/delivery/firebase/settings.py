"""What the operator decides about Firebase, as the bridge wants it. Made by `config.py`."""

from __future__ import annotations

from pathlib import Path

import msgspec

GOOGLE = "https://fcm.googleapis.com"


class FirebaseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the bridge needs to know."""

    credentials: Path
    """The service account's JSON file."""
    base_url: str = GOOGLE
    timeout_seconds: float = 3.0
    """How long one call may take, the wait for an access token included."""
    concurrency: int = 64
    """How many prompts are sent for at once."""
    waiting: int = 1000
    """How many may wait for their turn."""
