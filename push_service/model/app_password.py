"""App passwords: for clients that can't show a second step. They open mail, chat and shells, never administration."""

from __future__ import annotations

import msgspec

from push_service.model.ids import AppPasswordId
from push_service.model.instant import Instant


class AppPassword(msgspec.Struct, frozen=True, kw_only=True):
    """An app password as listed; what it is opened by stands in the guard alone."""

    id: AppPasswordId
    name: str
    created_at: Instant
    last_used_at: Instant | None = None
    last_used_from: str | None = None
