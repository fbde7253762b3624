"""App passwords: for clients that can't show a second step. They open mail, chat and shells, never administration.

An app password is 16 random lowercase letters: 75 bits, which nobody guesses online, and which a fast keyed hash
protects well enough at rest (docs/security.md). It is shown once, in groups of four; spaces, hyphens and capitals are
forgiven when it is typed. Made and revoked in the settings (rules/app_passwords.py), used at the door of clients.
"""

from __future__ import annotations

import hmac
import re

import msgspec

from push_service.model.ids import AppPasswordId, UserId
from push_service.model.instant import Instant
from push_service.model.user import AppPasswordKey, Guard

LETTERS = 16
"""Of 26: 75.2 bits."""

MAX_APP_PASSWORDS = 40
"""A person has at most so many; the guard is read and written whole."""

USE_NOTED_SECONDS = 300
"""Uses of one app password closer together than this are noted once: a mail program asks every minute."""

_GROUP = 4
_FORGIVEN = re.compile(r"[\s-]+")
_NORMAL = re.compile(f"[a-z]{{{LETTERS}}}")


class AppPassword(msgspec.Struct, frozen=True, kw_only=True):
    """An app password as listed; what it is opened by stands in the guard alone."""

    id: AppPasswordId
    name: str
    created_at: Instant
    last_used_at: Instant | None = None
    last_used_from: str | None = None


def shown(password: str) -> str:
    """In groups of four, as people copy it."""
    return " ".join(password[start : start + _GROUP] for start in range(0, LETTERS, _GROUP))


def normal(typed: str) -> str | None:
    """The letters of what was typed; None for what can't be an app password, however it is spaced."""
    letters = _FORGIVEN.sub("", typed).lower()
    return letters if _NORMAL.fullmatch(letters) else None


def keyed(user_id: UserId, password: str) -> bytes:
    """What the keyed hash is taken of: it opens for this user alone."""
    return f"app password\0{user_id}\0{password}".encode()


def opened_by(guard: Guard, mac: str) -> AppPasswordKey | None:
    """The app password of that keyed hash, if it is one of these."""
    return next((each for each in guard.app_passwords if hmac.compare_digest(each.mac, mac)), None)
