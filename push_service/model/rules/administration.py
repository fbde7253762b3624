"""What an operator does to an account, and what that means for the sign-ins that are under way."""

from __future__ import annotations

from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.instant import Instant
from push_service.model.method import Methods, registered_methods
from push_service.model.rules.app_passwords import revoke_all
from push_service.model.rules.changes import Changes
from push_service.model.rules.registration import forget_all_methods
from push_service.model.sign_in import Reason, SignInEvent
from push_service.model.user import Failures, Snapshot, UserState


def set_state(snapshot: Snapshot, now: Instant, state: UserState, methods: Methods) -> Decision[UserState]:
    """Set the account's state.

    `enabled` on a registered person stores `enforced`. Sign-ins under way were judged by the old state, so they end,
    and results not yet fetched are taken back. Whoever is `enabled` is still to register, and has no app passwords.
    """
    changes = Changes(snapshot, now)
    if state is UserState.ENABLED and registered_methods(changes.guard, methods):
        state = UserState.ENFORCED
    if state is not changes.user.state:
        judged_otherwise = UserState.DISABLED in {state, changes.user.state}
        changes.update_user(state=state)
        if judged_otherwise:
            _start_over(changes)
        if state is UserState.ENABLED:
            revoke_all(changes)
        _record(changes, AuditKind.USER_CHANGED, state=state.value)
    return changes.decision(state)


def set_password(snapshot: Snapshot, now: Instant, password_hash: str | None) -> Decision[None]:
    """Set the password's hash; whatever the old one began ends, app passwords included."""
    changes = Changes(snapshot, now)
    changes.update_user(password_hash=password_hash)
    revoke_all(changes)
    _start_over(changes)
    _record(changes, AuditKind.USER_CHANGED, changed="password")
    return changes.decision(None)


def set_blocked(snapshot: Snapshot, now: Instant, *, blocked: bool) -> Decision[None]:
    """Block or unblock.

    Blocking ends what is under way, the open activation code included, takes earlier results back and revokes app
    passwords. Unblocking lifts the pauses; failures in a row are counted on, because only a success or a new
    registration ends those.
    """
    changes = Changes(snapshot, now)
    changes.update_guard(blocked=blocked)
    if blocked:
        changes.update_guard(activation=None)
        for each in changes.live:
            changes.end(each, SignInEvent.SPOILT, Actor.OPERATOR, reason=Reason.USER_BLOCKED)
        changes.take_back_results()
        revoke_all(changes)
    else:
        in_a_row = {kind: Failures(each.in_a_row) for kind, each in changes.guard.failures.items()}
        changes.update_guard(muted_until=Instant(0), prompts=(), failures=in_a_row)
    _record(changes, AuditKind.USER_CHANGED, blocked=str(blocked).lower())
    return changes.decision(None)


def reset_methods(snapshot: Snapshot, now: Instant, methods: Methods) -> Decision[None]:
    """Forget everything registered, so that the person may register anew within a day."""
    changes = Changes(snapshot, now)
    forget_all_methods(changes, methods)
    revoke_all(changes)
    changes.update_guard(reset_at=now)
    changes.take_back_results()
    _record(changes, AuditKind.METHODS_RESET)
    return changes.decision(None)


def delete_app_passwords(snapshot: Snapshot, now: Instant) -> Decision[int]:
    """Revoke all app passwords; says how many there were."""
    changes = Changes(snapshot, now)
    if changes.guard.app_passwords:
        revoke_all(changes)
    return changes.decision(len(changes.removed_app_passwords))


def remove_user(snapshot: Snapshot, now: Instant) -> Decision[None]:
    """Remove the person, their devices and what is under way."""
    changes = Changes(snapshot, now)
    for each in changes.live:
        changes.end(each, SignInEvent.SPOILT, Actor.OPERATOR, reason=Reason.USER_BLOCKED)
    changes.take_back_results()
    _record(changes, AuditKind.USER_REMOVED)
    return changes.decision(None, remove_user=True)


def _start_over(changes: Changes) -> None:
    for each in changes.live:
        changes.end(each, SignInEvent.CANCELLED, Actor.OPERATOR, reason=Reason.ACCOUNT_CHANGED)
    changes.take_back_results()


def _record(changes: Changes, kind: AuditKind, **data: str) -> None:
    changes.record(Audit(kind=kind, actor=Actor.OPERATOR, data=data))
