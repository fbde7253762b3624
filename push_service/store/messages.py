"""The outbox of texts and calls, in the dialect that both stores share: marked before it is sent, so sent at most once.

Whatever is due leaves the index of what is due when it is looked at: it is handed out and marked; or, marked before, it
is unknown; or it is of no use any more (too late, its challenge over, its method or person gone) and has failed, as
`NOT_SENT`. Parameters are numbered as in outbox.py.
"""

from __future__ import annotations

from push_service.model.challenge import DeliveryState
from push_service.model.message import About
from push_service.store import columns
from push_service.store.sweeping import SWEEP_ROWS

NOT_SENT = "not_sent"
"""Why a message failed that nobody began: by the time somebody came to it, it was of no use."""

OUTGOING = (
    "m.id, m.user_id, u.username, c.sign_in_id, m.method_id, m.via, m.about, m.detail, x.value, c.secret, m.expires_at,"
    " m.begun"
)
"""What rows.outgoing maps."""
BEGUN = columns.width(OUTGOING) - 1
"""Where a row of `OUTGOING` says whether somebody has begun it before."""
SIGN_IN = columns.names(OUTGOING).index("c.sign_in_id")

_ASKS = f"('{About.CODE.value}', '{About.VERIFY.value}')"
_FROM = (
    "messages m LEFT JOIN users u ON u.id = m.user_id LEFT JOIN method_secrets x ON x.method_id = m.method_id"
    " LEFT JOIN challenges c ON c.id = m.id"
)
_OF_USE = (
    "m.expires_at > ?1 AND u.id IS NOT NULL AND x.method_id IS NOT NULL"
    f" AND (m.about NOT IN {_ASKS} OR coalesce(c.state, '') = 'pending')"
)
_DUE = "m.state = 0 AND m.lease_until <= ?1"

OF_LEASE = (
    f"SELECT {OUTGOING} FROM {_FROM} WHERE m.id = ?2 AND m.lease_until = ?3"  # noqa: S608
    f" AND m.state = 0 AND m.begun = 0 AND {_OF_USE}"
)
"""Of: now, message, end of its lease."""
ANY_DUE = f"SELECT 1 FROM messages m WHERE {_DUE} LIMIT 1"  # noqa: S608
"""Of: now."""
DUE = f"SELECT {OUTGOING} FROM {_FROM} WHERE {_DUE} AND (m.begun = 1 OR ({_OF_USE})) ORDER BY m.lease_until LIMIT ?2"  # noqa: S608
"""Of: now, at most so many. What is marked among it is unknown from then on."""
OF_NO_USE = f"SELECT m.id FROM {_FROM} WHERE {_DUE} AND m.begun = 0 AND NOT ({_OF_USE}) LIMIT {SWEEP_ROWS}"  # noqa: S608
"""Of: now."""

BEGIN = "UPDATE messages SET begun = 1, lease_until = ?1 WHERE id = ?2"
MOVE = "UPDATE messages SET state = ?1, code = ?2, provider_id = coalesce(provider_id, ?3) WHERE id = ?4 AND state < ?1"
"""Of: state, code, the provider's id, message."""
UNKNOWN = (DeliveryState.UNKNOWN.value, None, None)
FAILED = (DeliveryState.FAILED.value, NOT_SENT, None)
RELEASE = "UPDATE messages SET lease_until = ?1 WHERE id = ?2 AND lease_until = ?3 AND begun = 0 AND state = 0"
KNOWN = f"SELECT {columns.KNOWN_MESSAGE} FROM messages WHERE id = ?1"  # noqa: S608
METHOD_SECRET = "SELECT value FROM method_secrets WHERE method_id = ?1"  # noqa: S105 - a statement
FORGET_METHOD_SECRET = "DELETE FROM method_secrets WHERE method_id = ?1"  # noqa: S105 - a statement
