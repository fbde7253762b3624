"""Making and revoking app passwords.

Only whoever has registered has any use for one, and only a fresh two-step sign-in makes one. Whatever takes the trust
away that it was made with (a new password, a reset of the methods, a block) revokes them all at once: what one could
leave behind would open the account for whoever got in before (S-52).
"""

from __future__ import annotations

import msgspec

from push_service.model.app_password import MAX_APP_PASSWORDS, AppPassword
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import (
    FreshSignInRequired,
    RegistrationIncomplete,
    ServiceError,
    TooManyAppPasswords,
    UnknownAppPassword,
)
from push_service.model.ids import AppPasswordId
from push_service.model.instant import Instant
from push_service.model.rules.changes import Changes
from push_service.model.user import AppPasswordKey, Snapshot, User, UserState


class NewAppPassword(msgspec.Struct, frozen=True):
    """An app password to be kept, and as whom its maker was seen when their sign-in was looked at."""

    key: AppPasswordKey
    maker: User
    source: str | None


def add(snapshot: Snapshot, now: Instant, new: NewAppPassword) -> Decision[AppPassword]:
    """Keep a new app password.

    Refuses with FreshSignInRequired where the maker's sign-in was taken back meanwhile, RegistrationIncomplete, and
    TooManyAppPasswords.
    """
    changes = Changes(snapshot, now)
    refusal = _why_not(changes.user, new.maker)
    if refusal is not None:
        return changes.refuse(refusal, _record(AuditKind.APP_PASSWORD_REFUSED, new.source))
    changes.update_guard(app_passwords=(*changes.guard.app_passwords, new.key))
    changes.app_password = AppPassword(id=new.key.id, name=new.key.name, created_at=now)
    changes.record(_record(AuditKind.APP_PASSWORD_ADDED, new.source, app_password=new.key.id))
    return changes.decision(changes.app_password)


def revoke(snapshot: Snapshot, now: Instant, revoked: AppPasswordId, source: str | None) -> Decision[None]:
    """Revoke one of one's own. Refuses with UnknownAppPassword."""
    changes = Changes(snapshot, now)
    kept = tuple(each for each in changes.guard.app_passwords if each.id != revoked)
    if len(kept) == len(changes.guard.app_passwords):
        return changes.refuse(UnknownAppPassword(), _record(AuditKind.APP_PASSWORD_REFUSED, source))
    changes.update_guard(app_passwords=kept)
    changes.removed_app_passwords = (revoked,)
    changes.record(_record(AuditKind.APP_PASSWORD_REMOVED, source, app_password=revoked))
    return changes.decision(None)


def revoke_all(changes: Changes) -> None:
    """Revoke every one, with a record for each, in whatever an operator decides about the account."""
    changes.removed_app_passwords = tuple(each.id for each in changes.guard.app_passwords)
    for each in changes.removed_app_passwords:
        changes.record(Audit(kind=AuditKind.APP_PASSWORD_REMOVED, actor=Actor.OPERATOR, data={"app_password": each}))
    changes.update_guard(app_passwords=())


def _why_not(user: User, maker: User) -> ServiceError | None:
    """`maker` is the user as of the moment at which their sign-in was fresh: what ended it since then counts here."""
    before, after = (maker.password_hash, maker.guard.reset_at), (user.password_hash, user.guard.reset_at)
    if user.guard.blocked or before != after:
        return FreshSignInRequired()
    if user.state is not UserState.ENFORCED:
        return RegistrationIncomplete()
    if len(user.guard.app_passwords) >= MAX_APP_PASSWORDS:
        return TooManyAppPasswords()
    return None


def _record(kind: AuditKind, source: str | None, **data: str) -> Audit:
    return Audit(kind=kind, actor=Actor.BROWSER, source=source, data=data)
