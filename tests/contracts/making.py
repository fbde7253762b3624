"""People, phones and sign-ins for stories about stores, made by the project's own rules."""

from __future__ import annotations

import functools
import secrets
import time
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from push_service.crypto import jws
from push_service.methods.app_notification import AppNotification
from push_service.model import ids
from push_service.model.challenge import Challenge, MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision, Rule
from push_service.model.device import Device
from push_service.model.ids import ApplicationId, SignInId, UserId
from push_service.model.instant import MICROSECONDS, Instant, after
from push_service.model.method import AnswerDecision, Draft, SignedAnswer
from push_service.model.policy import Policy
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.rules.answer import answer as answer_rule
from push_service.model.rules.begin import BeginRequest
from push_service.model.rules.begin import begin as begin_rule
from push_service.model.sign_in import Asker, SignIn
from push_service.model.user import EnrolledDevice, Guard, Method, Snapshot, User, UserState, name_key
from push_service.model.view import Seen
from push_service.ports import Committed, Store

METHODS = {MethodKind.APP_NOTIFICATION: AppNotification()}
POLICY = Policy()
BY_OPERATOR = Audit(kind=AuditKind.USER_CHANGED, actor=Actor.OPERATOR)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = Instant(int(time.time()) * MICROSECONDS)

    def __call__(self) -> Instant:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at = after(self.at, seconds)


@dataclass(frozen=True)
class Person:
    """A user with phones."""

    user: User
    phones: tuple[Device, ...]

    @property
    def id(self) -> UserId:
        return self.user.id

    @property
    def phone(self) -> Device:
        return self.phones[0]


def new_device(user_id: UserId, at: Instant, name: str = "Pixel") -> Device:
    """A phone with a key, a push token and a code secret of its own."""
    public = jws.public_key_of(ec.generate_private_key(ec.SECP256R1()))
    return Device(
        id=ids.device_id(),
        user_id=user_id,
        key=public,
        thumbprint=jws.thumbprint(public),
        name=name,
        platform="stub",
        push_token=f"push-{secrets.token_hex(16)}",
        totp_secret=secrets.token_hex(16).upper(),
        activated_at=at,
    )


async def enrol(store: Store, name: str = "alice", *, phones: int = 1, **columns: object) -> Person:
    """A new user, enforced, asked on that many phones."""
    user_id, now = ids.user_id(), await store.now()
    devices = tuple(new_device(user_id, after(now, n), f"Pixel {n}") for n in range(phones))
    methods = tuple(
        Method(id=ids.method_id(), kind=MethodKind.APP_NOTIFICATION, target=each.name, device_id=each.id)
        for each in devices
    )
    user = User(
        id=user_id,
        name_key=name_key(name),
        username=name,
        password_hash="$argon2id$none",
        state=UserState.ENFORCED,
        admin=False,
        version=1,
        guard=Guard(
            methods=methods,
            primary=methods[0].id if methods else None,
            devices=tuple(EnrolledDevice(each.id, each.thumbprint, each.name) for each in devices),
            ever_registered=True,
        ),
    )
    await store.add_user(msgspec.structs.replace(user, **columns), BY_OPERATOR)
    for device in devices:
        await store.decide(user_id, writing(device=device))
    stored = await store.user(user_id)
    assert stored is not None
    return Person(stored, devices)


def writing(**changes: object) -> Rule[None]:
    """A rule that writes just this, with one audit record."""

    def rule(_: Snapshot, __: Instant) -> Decision[None]:
        return msgspec.structs.replace(Decision(reply=None, audit=(BY_OPERATOR,)), **changes)

    return rule


def beginning(
    now: Instant,
    *,
    sign_in_id: SignInId | None = None,
    replaces: SignInId | None = None,
    seconds: float = 120,
    policy: Policy = POLICY,
) -> Rule[Seen]:
    """A begin with the right password."""
    challenge_id = ids.challenge_id()
    payload = jws.base64url(msgspec.json.encode({"id": challenge_id}))
    draft = Draft(
        challenge_id=challenge_id,
        nonce=secrets.token_urlsafe(18),
        context=f"{secrets.token_hex(8)}.{payload}.{secrets.token_hex(8)}",
        numbers=("31415926", "27182818", "16180339", "14142135"),
        digits="04816273",
        requested_at=now,
        expires_at=after(now, seconds),
        latest=after(now, seconds),
    )
    request = BeginRequest(
        sign_in_id=sign_in_id or ids.sign_in_id(),
        token_hash=ids.digest(secrets.token_urlsafe()),
        registration_hash=ids.digest(secrets.token_urlsafe()),
        application_id=ApplicationId("settings"),
        asker=Asker(ip="192.0.2.1"),
        proven=("pwd",),
        nonce=None,
        replaces=replaces,
        draft=draft,
    )
    return functools.partial(begin_rule, request=request, methods=METHODS, policy=policy)


async def begin(store: Store, person: Person, **how: object) -> Seen:
    """Begin a sign-in that must be accepted."""
    rule = beginning(await store.now(), **how)  # type: ignore[arg-type]
    decision, _ = await store.decide(person.id, rule)
    assert decision.refusal is None
    return decision.reply


def challenge_of(seen: Seen) -> Challenge:
    """The challenge that was put."""
    assert seen.challenge is not None
    return seen.challenge


def answering(
    seen: Seen, device: Device, decision: AnswerDecision = AnswerDecision.VERIFY, number: str | None = None
) -> Rule[AnswerOutcome | None]:
    """A phone's answer, with the right number unless told otherwise."""
    challenge = challenge_of(seen)
    typed = number or challenge.secret
    given = SignedAnswer(
        challenge_id=challenge.id,
        device_id=device.id,
        thumbprint=device.thumbprint,
        decision=decision,
        number=typed if decision is AnswerDecision.VERIFY else None,
        digest=ids.digest(f"{challenge.id}{device.id}{decision}{typed}"),
    )
    return functools.partial(answer_rule, given=given, methods=METHODS, policy=POLICY)


async def answer(
    store: Store, person: Person, seen: Seen, decision: AnswerDecision = AnswerDecision.VERIFY
) -> tuple[Decision[AnswerOutcome | None], Committed]:
    """Answer on the person's first phone."""
    return await store.decide(person.id, answering(seen, person.phone, decision))


async def look(store: Store, sign_in_id: SignInId) -> SignIn:
    """The stored sign-in, which must be there."""
    seen = await store.watch(sign_in_id)
    assert seen is not None
    return seen.sign_in
