"""Rows that are read together because they must be of one moment: a sign-in with its challenge and its user.

The lists of columns stand here, and how a row of them becomes what `ports.Store` gives back. The statements around them
differ by dialect.
"""

from __future__ import annotations

from collections.abc import Sequence

from push_service.model.challenge import DeliveryState, MethodKind
from push_service.model.user import Pending, Snapshot
from push_service.model.view import Seen
from push_service.store import columns
from push_service.store.rows import Row, Rows

LIVE = "state IN ('pending', 'registration_required')"

_CUT = columns.width(columns.SIGN_IN)
_CUT_TWO = _CUT + columns.width(columns.CHALLENGE)
_CUT_THREE = _CUT_TWO + columns.width(columns.USER)
_DELIVERIES = tuple(DeliveryState)

PENDING = f"{columns.of(columns.SIGN_IN, 's')}, {columns.of(columns.CHALLENGE, 'c')}"
PENDING_CHALLENGE_ID = _CUT
"""Where the id of the challenge stands in a row of `PENDING`."""
PENDING_FROM = "challenges c JOIN sign_ins s ON s.id = c.sign_in_id"

SNAPSHOT = f"{PENDING}, {columns.of(columns.USER, 'u')}"
SNAPSHOT_FROM = (
    f"users u LEFT JOIN sign_ins s ON s.user_id = u.id AND s.{LIVE} LEFT JOIN challenges c ON c.id = s.challenge_id"
)
SNAPSHOT_WIDTH = _CUT_THREE
SNAPSHOT_USER_ID = _CUT_TWO
"""Where the id of the user stands in a row of `SNAPSHOT`."""
SNAPSHOT_NAME_KEY = _CUT_TWO + columns.names(columns.USER).index("name_key")
"""Where the user's key by name stands there."""

_FURTHEST = (
    "(SELECT CASE WHEN min(d.state) = 3 THEN max(d.state) ELSE max(CASE WHEN d.state = 3 THEN 0 ELSE d.state END) END"
    " FROM deliveries d WHERE d.challenge_id = s.challenge_id)"
)
"""Of several phones the furthest counts; that one could not be reached (3) counts only where none could."""

_BY_MESSAGE = ", ".join(
    f"'{each.value}'" for each in (MethodKind.TEXT_MOBILE, MethodKind.CALL_MOBILE, MethodKind.CALL_OFFICE)
)
_DELIVERED = (
    f"CASE WHEN c.kind IN ({_BY_MESSAGE}) THEN (SELECT m.state FROM messages m WHERE m.id = c.id)"  # noqa: S608
    f" ELSE {_FURTHEST} END"
)
"""A text or a call has one message, named after its challenge. Only one of the two is looked for."""

SEEN = f"{SNAPSHOT}, {_DELIVERED}"
SEEN_FROM = "sign_ins s JOIN users u ON u.id = s.user_id LEFT JOIN challenges c ON c.id = s.challenge_id"


def pending(map_: Rows, row: Row) -> Pending:
    """From `PENDING`."""
    return Pending(map_.sign_in(row[:_CUT]), map_.challenge(row[_CUT:_CUT_TWO]))


def snapshot(map_: Rows, found: Sequence[Row]) -> Snapshot:
    """From the rows of `SNAPSHOT` of one user, of which there is at least one, in the order of `begun_at`."""
    live = tuple(pending(map_, row) for row in found if row[0] is not None)
    return Snapshot(map_.user(found[0][_CUT_TWO:_CUT_THREE]), live)


def seen(map_: Rows, row: Row) -> Seen:
    """From `SEEN`."""
    challenge = map_.challenge(row[_CUT:_CUT_TWO])
    user = map_.user(row[_CUT_TWO:_CUT_THREE])
    return Seen(map_.sign_in(row[:_CUT]), challenge, user, _DELIVERIES[row[_CUT_THREE] or 0])


def by_user(found: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of `SNAPSHOT` of several users, apart."""
    apart: dict[str, list[Row]] = {}
    for row in found:
        apart.setdefault(row[SNAPSHOT_USER_ID], []).append(row)
    return apart
