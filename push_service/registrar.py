"""The use cases of registration: activation codes, devices, methods, and who may come in to change them."""

from __future__ import annotations

import base64
import functools
import hmac
import secrets
from collections.abc import Callable
from enum import StrEnum

import msgspec

from push_service.applications import Applications
from push_service.crypto import jws, proofs
from push_service.decisions import Decisions
from push_service.drafts import Drafter
from push_service.methods import ALL
from push_service.model import ids
from push_service.model.application import ADMINISTRATION, SETTINGS
from push_service.model.decision import Actor, Audit, AuditKind, Remembered
from push_service.model.device import Device, DeviceState, PublicKey
from push_service.model.errors import (
    Forbidden,
    FreshSignInRequired,
    InvalidActivationCode,
    InvalidKey,
    InvalidProof,
    InvalidToken,
    UnknownDevice,
    UnknownUser,
)
from push_service.model.ids import ApplicationId, DeviceId, MethodId, SignInId, UserId
from push_service.model.instant import Instant, after, rfc3339
from push_service.model.label import label
from push_service.model.method import Draft, Methods
from push_service.model.policy import SETTINGS_CHANGE_SECONDS, SETTINGS_READING_SECONDS, Policy
from push_service.model.rules import registration
from push_service.model.sign_in import SignIn, SignInState
from push_service.model.throttle import Charge
from push_service.model.tokens import sign_in_of
from push_service.model.user import Activation, User
from push_service.model.view import Seen, as_of
from push_service.ports import Duplicate, Store

_CODE_BYTES = 15
"""120 bits: enough without an identifier (NIST SP 800-63B-4, 4.1.2.2), and 24 letters and digits in base32."""
_TOTP_BYTES = 20
_NAME = "A device's name"


class IssuedActivation(msgspec.Struct, frozen=True):
    """An activation code, told once."""

    code: str
    uri: str
    expires_at: Instant


class ActivateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a phone sends to bind itself."""

    code: str
    key: PublicKey
    name: str
    platform: str
    push_token: str | None
    proof: str


class Purpose(StrEnum):
    """What a settings request wants to do."""

    READ = "read"
    CHANGE = "change"
    REGISTER = "register"


class Session(msgspec.Struct, frozen=True):
    """Who is in the settings, and by which sign-in."""

    user: User
    sign_in: SignIn
    registering: bool
    """In by a registration token: only the first registration is open."""


class Registrar:
    """See the module."""

    def __init__(
        self,
        *,
        store: Store,
        decisions: Decisions,
        drafter: Drafter,
        applications: Applications,
        policy: Policy,
        issuer: str,
        methods: Methods = ALL,
    ) -> None:
        """Wire the use cases to their ports; `issuer` is the public URL."""
        self._store, self._decisions, self._drafter = store, decisions, drafter
        self._applications, self._policy, self._issuer, self._methods = applications, policy, issuer, methods

    @property
    def methods(self) -> Methods:
        """What can be registered to verify by."""
        return self._methods

    async def session(self, token: str, purpose: Purpose) -> Session:
        """Who this token lets into the settings.

        Raises InvalidToken, or FreshSignInRequired where it opens something else.
        """
        seen, now = await self._named_by(token)
        sign_in, digest = seen.sign_in, ids.digest(token)
        if sign_in.registration_hash and hmac.compare_digest(sign_in.registration_hash, digest):
            if sign_in.state is not SignInState.REGISTRATION_REQUIRED:
                raise InvalidToken
            if purpose is Purpose.CHANGE:
                raise FreshSignInRequired
            return Session(seen.user, sign_in, registering=True)
        if not hmac.compare_digest(sign_in.token_hash, digest):
            raise InvalidToken
        _require_fresh(sign_in, SETTINGS, purpose, now)
        return Session(seen.user, sign_in, registering=False)

    async def administration(self, token: str, purpose: Purpose) -> Session:
        """Which administrator this token lets into administration.

        Raises InvalidToken, FreshSignInRequired where it opens something else, and Forbidden for other people.
        """
        seen, now = await self._named_by(token)
        if not hmac.compare_digest(seen.sign_in.token_hash, ids.digest(token)):
            raise InvalidToken
        _require_fresh(seen.sign_in, ADMINISTRATION, purpose, now)
        if not seen.user.admin:
            raise Forbidden("This person is no administrator.")
        return Session(seen.user, seen.sign_in, registering=False)

    async def _named_by(self, token: str) -> tuple[Seen, Instant]:
        """The sign-in that a token says it is for, as of now; whether it opens it is still to be looked at."""
        now = await self._store.now()
        seen = await self._store.watch(sign_in_of(token))
        if seen is None:
            raise InvalidToken
        return as_of(seen, now), now

    async def issue_activation(
        self,
        user_id: UserId,
        sign_in_id: SignInId | None = None,
        actor: Actor = Actor.OPERATOR,
        source: str | None = None,
        remember: Callable[[IssuedActivation], Remembered] | None = None,
    ) -> IssuedActivation:
        """Issue a code by which one phone can be bound; it voids the one before it."""
        code = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode()
        now = await self._store.now()
        expires_at = after(now, self._policy.activation_seconds)
        activation = Activation(ids.digest(code), expires_at, sign_in_id)
        rule = functools.partial(registration.issue_activation, activation=activation, actor=actor, source=source)
        issued = IssuedActivation(code, f"{self._issuer}/activate#code={code}", expires_at)
        await self._decisions.decide(user_id, rule, (), (lambda _: remember(issued)) if remember else None)
        return issued

    async def activate(self, request: ActivateRequest, source: str | None) -> tuple[Device, User]:
        """Bind a phone. The same code and key again: the same answer, for a phone that lost the first.

        Raises InvalidKey, InvalidProof, InvalidActivationCode, and TooManyRequests for an address that guesses on.
        """
        try:
            return await self._activate(request, source)
        except (InvalidKey, InvalidProof, InvalidActivationCode) as refusal:
            # What an open code is refused for is recorded with the person; this is for codes that name nobody.
            await self._store.debit((Charge.one(f"activations:{source}", self._policy.begins_per_address),))
            refused = Audit(kind=AuditKind.ACTIVATION_REFUSED, actor=Actor.DEVICE, code=refusal.code, source=source)
            await self._decisions.record(refused)
            raise

    async def _activate(self, request: ActivateRequest, source: str | None) -> tuple[Device, User]:
        now = await self._store.now()
        expected = proofs.Expected(method="POST", url=f"{self._issuer}/v1/devices", now=now, activation=request.code)
        try:
            jws.load_key(request.key)
        except jws.BadToken as problem:
            raise InvalidKey from problem
        proofs.check(request.proof, request.key, expected)
        thumbprint = jws.thumbprint(request.key)
        issued = await self._store.activation(ids.digest(request.code))
        if issued is None or now >= issued.expires_at:
            raise InvalidActivationCode
        if issued.device_id is not None:
            return await self._activated_before(issued.device_id, issued.thumbprint, thumbprint)
        device = Device(
            id=ids.device_id(),
            user_id=issued.user_id,
            key=request.key,
            thumbprint=thumbprint,
            name=label(request.name, _NAME),
            platform=request.platform,
            push_token=request.push_token,
            push_token_at=now if request.push_token is not None else None,
            totp_secret=base64.b32encode(secrets.token_bytes(_TOTP_BYTES)).decode(),
            activated_at=now,
        )
        new = registration.NewDevice(
            device=device,
            code_hash=issued.code_hash,
            notification_id=ids.method_id(),
            code_id=ids.method_id(),
            draft=await self.draft_for(issued.sign_in_id, now),
        )
        rule = functools.partial(
            registration.activate, new=new, methods=self._methods, policy=self._policy, source=source
        )
        try:
            bound = await self._decisions.decide(issued.user_id, rule)
        except Duplicate:
            raise InvalidKey("This key is bound to a device already.") from None
        except InvalidActivationCode:
            # Perhaps the phone's own request of a moment ago, whose reply was lost.
            again = await self._store.activation(issued.code_hash)
            if again is None or again.device_id is None:
                raise
            return await self._activated_before(again.device_id, again.thumbprint, thumbprint)
        return bound, await self.user(bound.user_id)

    async def device_of_proof(self, proof: str, method: str, path: str, nonce: str | None = None) -> Device:
        """The device that made this proof. Over HTTP its id is spent; on the socket the nonce makes it single."""
        now = await self._store.now()
        device = await self.device(DeviceId(proofs.device_of(proof, now)))
        expected = proofs.Expected(method=method, url=f"{self._issuer}{path}", now=now, nonce=nonce)
        try:
            jti_hash = proofs.check(proof, device.key, expected)
            if nonce is None:
                await self._spend(device, jti_hash, now)
        except InvalidProof as refusal:
            await self._decisions.record(
                Audit(
                    kind=AuditKind.DEVICE_REFUSED,
                    actor=Actor.DEVICE,
                    user_id=device.user_id,
                    code=refusal.code,
                    source=device.id,
                )
            )
            raise
        return device

    async def _spend(self, device: Device, jti_hash: str, now: Instant) -> None:
        until = after(now, 2 * proofs.SKEW_SECONDS)
        if not await self._store.spend_proof(device.id, jti_hash, until):
            raise InvalidProof("This proof was used before.", server_time=rfc3339(now))

    async def device(self, device_id: DeviceId) -> Device:
        """An active device. Raises UnknownDevice."""
        device = await self._store.device(device_id)
        if device is None or device.state is not DeviceState.ACTIVE:
            raise UnknownDevice
        return device

    async def change_device(self, device: Device, name: str | None, push_token: str | None) -> Device:
        """Let a device rename itself, or say where it is pushed to."""
        changed = device
        if name is not None:
            changed = msgspec.structs.replace(changed, name=label(name, _NAME))
        if push_token is not None:
            changed = msgspec.structs.replace(changed, push_token=push_token, push_token_at=await self._store.now())
        return await self._decisions.decide(
            device.user_id, functools.partial(registration.rename_device, device=changed)
        )

    async def remove_device(self, device: Device, actor: Actor, source: str | None) -> None:
        """Remove a device with all that it confirms. Raises LastMethod for the last one of an enforced account."""
        rule = functools.partial(
            registration.remove_device, device_id=device.id, methods=self._methods, actor=actor, source=source
        )
        await self._decisions.decide(device.user_id, rule)

    async def remove_method(self, session: Session, method_id: MethodId, source: str | None) -> None:
        """Remove one of one's own methods. Raises UnknownMethod and LastMethod."""
        rule = functools.partial(
            registration.remove_method,
            method_id=method_id,
            methods=self._methods,
            actor=Actor.BROWSER,
            source=source,
            within=session.sign_in.id,
        )
        await self._decisions.decide(session.user.id, rule)

    async def choose_primary(self, user: User, method_id: MethodId, source: str | None) -> User:
        """Make a method the one asked first. Raises UnknownMethod."""
        rule = functools.partial(registration.choose_primary, method_id=method_id, methods=self._methods, source=source)
        await self._decisions.decide(user.id, rule)
        return await self.user(user.id)

    async def devices(self, user: User) -> list[Device]:
        """A user's active devices."""
        return await self._store.devices(user.id)

    async def _activated_before(
        self, device_id: DeviceId, bound_to: str | None, thumbprint: str
    ) -> tuple[Device, User]:
        if bound_to is None or not hmac.compare_digest(bound_to, thumbprint):
            raise InvalidActivationCode
        device = await self.device(device_id)
        return device, await self.user(device.user_id)

    async def user(self, user_id: UserId) -> User:
        """A user's row as it is now. Raises UnknownUser."""
        user = await self._store.user(user_id)
        if user is None:
            raise UnknownUser
        return user

    async def draft_for(self, sign_in_id: SignInId | None, now: Instant) -> Draft | None:
        """A challenge of this sign-in, such as the one with which it goes on once something is registered.

        None where there is no such sign-in.
        """
        seen = await self._store.watch(sign_in_id) if sign_in_id else None
        if seen is None:
            return None
        sign_in = seen.sign_in
        application = await self._applications.named(sign_in.application_id)
        name = application.name if application else ""
        return self._drafter.draft(now, seen.user.username, name, sign_in.asker, begun_at=sign_in.begun_at)


def _require_fresh(sign_in: SignIn, application: ApplicationId, purpose: Purpose, now: Instant) -> None:
    limit = SETTINGS_READING_SECONDS if purpose is Purpose.READ else SETTINGS_CHANGE_SECONDS
    decided = sign_in.decided_at
    two_step = sign_in.application_id == application and "mfa" in sign_in.amr and sign_in.result_jti is not None
    if not two_step or decided is None or now >= after(decided, limit):
        raise FreshSignInRequired
