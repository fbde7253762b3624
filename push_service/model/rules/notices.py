"""Telling a person what was changed about how they verify, on their other phones (NIST SP 800-63B-4, 4.6; ASVS 6.4.4).

Whoever adds a phone of their own to somebody's account, or makes themselves an app password, can so not do it unseen.
The rules of registration, app passwords, bypasses and fraud reports call this beside their audit record.
"""

from __future__ import annotations

from push_service.model.challenge import MethodKind
from push_service.model.ids import MethodId, notice_id
from push_service.model.instant import after
from push_service.model.message import About, Message, Via
from push_service.model.policy import Rate
from push_service.model.rules.changes import Changes
from push_service.model.throttle import remembered, room_at

NOTICE_SECONDS = 3600
"""How long a notice is still worth sending: a provider may be away for a while."""
LEASE_SECONDS = 3.0
NOTICES = Rate(20, 86400)
"""More in a day is nothing that anybody reads, and texts cost: adding and removing without end sends no more."""


def tell(changes: Changes, about: About, detail: str, except_method: MethodId | None = None) -> None:
    """Text the person's mobile phones, but for the one that the notice is about.

    `detail` names what it is about, for people: a masked number, a device's name; never a secret. Where there is no
    other phone, nobody is told, and the audit is all there is.
    """
    for method in changes.guard.methods:
        concerned = except_method is not None and except_method in {method.id, method.twin}
        if method.kind is MethodKind.TEXT_MOBILE and not method.disabled and not concerned:
            _text(changes, method.id, about, detail)


def _text(changes: Changes, method_id: MethodId, about: About, detail: str) -> None:
    told = changes.guard.told
    if room_at(told, (NOTICES,), changes.now) > changes.now:
        return
    changes.update_guard(told=remembered(told, (NOTICES,), changes.now))
    changes.send(
        Message(
            id=notice_id(changes.user.id, changes.user.version, method_id, about),
            method_id=method_id,
            via=Via.TEXT,
            about=about,
            expires_at=after(changes.now, NOTICE_SECONDS),
            lease_until=after(changes.now, LEASE_SECONDS),
            detail=detail,
        )
    )
