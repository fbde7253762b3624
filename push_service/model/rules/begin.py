"""Beginning a sign-in: who is let through, who is asked, who must register first, and who is refused."""

from __future__ import annotations

import msgspec

from push_service.model.account_states import Outcome, in_browser, standing
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import (
    RegistrationNeedsPassword,
    ServiceError,
    TooManyPending,
    TooManyPrompts,
    TooManyRequests,
    VerificationNotEnabled,
)
from push_service.model.ids import ApplicationId, SignInId
from push_service.model.instant import Instant, after, seconds_between
from push_service.model.method import Draft, Methods, registered_methods
from push_service.model.policy import Policy
from push_service.model.rules.ask import ask_first
from push_service.model.rules.changes import Changes
from push_service.model.sign_in import Asker, Reason, SignIn, SignInEvent, SignInState, result_jti
from push_service.model.throttle import Charge, spend, wait_seconds
from push_service.model.user import Snapshot, User, UserState, primary_method, usable_methods
from push_service.model.view import Seen

PASSWORD_ONLY = ("pwd",)


class BeginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A begin whose password was right, or whose application vouches."""

    sign_in_id: SignInId
    token_hash: str
    registration_hash: str
    application_id: ApplicationId
    asker: Asker
    proven: tuple[str, ...]
    nonce: str | None
    replaces: SignInId | None
    """The browser's former sign-in, whose token has been checked."""
    draft: Draft


def begin(
    snapshot: Snapshot,
    now: Instant,
    request: BeginRequest,
    methods: Methods,
    policy: Policy,
) -> Decision[Seen]:
    """Decide a begin."""
    changes = Changes(snapshot, now)
    former = request.replaces and changes.pending(request.replaces)
    if former:
        changes.end(former, SignInEvent.CANCELLED, Actor.BROWSER, reason=Reason.REPLACED, source=request.asker.ip)
    sign_in = SignIn(
        id=request.sign_in_id,
        user_id=snapshot.user.id,
        application_id=request.application_id,
        token_hash=request.token_hash,
        state=SignInState.PENDING,
        begun_at=request.draft.requested_at,
        expires_at=request.draft.expires_at,
        asker=request.asker,
        proven=request.proven,
        nonce=request.nonce,
    )
    outcome = _admit(changes, sign_in, request, methods, policy)
    if isinstance(outcome, ServiceError):
        return changes.refuse(outcome, _record(sign_in, AuditKind.SIGN_IN_REFUSED))
    sign_in = outcome
    changes.put(sign_in, changes.seen(sign_in).challenge)
    record = _record(sign_in, AuditKind.SIGN_IN_BEGUN if sign_in.live else AuditKind.SIGN_IN_OUTCOME)
    changes.record(msgspec.structs.replace(record, code=sign_in.state.value))
    return changes.decision(changes.seen(sign_in), until=request.draft.expires_at)


def _admit(
    changes: Changes, sign_in: SignIn, request: BeginRequest, methods: Methods, policy: Policy
) -> SignIn | ServiceError:
    """How the sign-in begins: over already, registering, or asked; or why it doesn't begin."""
    now, user = changes.now, changes.user
    first = in_browser(standing(user, registered=bool(registered_methods(user.guard, methods))))
    if first is Outcome.FAILED:
        return _over(sign_in, now, SignInState.FAILED, Reason.USER_BLOCKED)
    charge = Charge.one("", policy.begins_per_person)
    tat = spend(user.guard.begins_tat, now, charge.cost, charge.burst)
    if tat is None:
        return TooManyRequests(retry_after=wait_seconds(user.guard.begins_tat, now, charge.cost, charge.burst))
    changes.update_guard(begins_tat=tat)
    if first is Outcome.APPROVED:
        return _by_password_alone(sign_in, request, now)
    return _verify(changes, sign_in, request, methods, policy)


def _verify(
    changes: Changes, sign_in: SignIn, request: BeginRequest, methods: Methods, policy: Policy
) -> SignIn | ServiceError:
    """How the sign-in of a person who needs a second factor begins."""
    now, user = changes.now, changes.user
    registered = registered_methods(user.guard, methods)
    registering = not registered and _may_register(user, policy, now)
    usable = registered or usable_methods(user.guard, methods)
    if not usable and not registering:
        return _over(sign_in, now, SignInState.FAILED, Reason.NO_METHOD)
    if len(changes.live) >= policy.pending_per_person:
        first_end = min(each.sign_in.expires_at for each in changes.live)
        return TooManyPending(retry_after=seconds_between(now, first_end))
    method = primary_method(user.guard, usable)
    if registering or method is None:
        return _registering(sign_in, request, policy)
    asked = ask_first(changes, sign_in, method, request.draft, methods, policy)
    return asked if isinstance(asked, SignIn) else TooManyPrompts(retry_after=seconds_between(now, asked))


def _by_password_alone(sign_in: SignIn, request: BeginRequest, now: Instant) -> SignIn | ServiceError:
    if PASSWORD_ONLY[0] not in request.proven:
        return VerificationNotEnabled()
    approved = _over(sign_in, now, SignInState.APPROVED, None)
    return msgspec.structs.replace(approved, amr=PASSWORD_ONLY, result_jti=result_jti(sign_in))


def _registering(sign_in: SignIn, request: BeginRequest, policy: Policy) -> SignIn | ServiceError:
    if PASSWORD_ONLY[0] not in request.proven:
        return RegistrationNeedsPassword()
    return msgspec.structs.replace(
        sign_in,
        state=SignInState.REGISTRATION_REQUIRED,
        registration_hash=request.registration_hash,
        expires_at=after(sign_in.begun_at, policy.registration_seconds),
    )


def _may_register(user: User, policy: Policy, now: Instant) -> bool:
    """Registering with a password alone: whoever is only `enabled`, never had a method, or was reset a short while ago.

    Otherwise whoever has the password could wait for the last method to go, and register a phone of their own.
    """
    guard = user.guard
    if user.state is UserState.ENABLED or not guard.ever_registered:
        return True
    return guard.reset_at is not None and now < after(guard.reset_at, policy.reset_grace_seconds)


def _over(sign_in: SignIn, now: Instant, state: SignInState, reason: Reason | None) -> SignIn:
    return msgspec.structs.replace(sign_in, state=state, reason=reason, decided_at=now)


def _record(sign_in: SignIn, kind: AuditKind) -> Audit:
    data: dict[str, str] = {"application": sign_in.application_id}
    if sign_in.reason:
        data["reason"] = sign_in.reason.value
    if not sign_in.proven:
        data["vouched"] = "true"
    actor = Actor.BROWSER if sign_in.proven else Actor.APPLICATION
    return Audit(kind=kind, actor=actor, sign_in_id=sign_in.id, source=sign_in.asker.ip, data=data)
