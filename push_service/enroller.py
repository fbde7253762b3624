"""The use cases of enrolling phones and authenticator apps: begin, and confirm by a code or in a call.

Which of them a token opens is for `registrar.py` to say; what follows, for `model/rules/enrolment.py`.
"""

from __future__ import annotations

import base64
import functools
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from push_service.codes import Codes
from push_service.decisions import Decisions
from push_service.model import ids, otpauth
from push_service.model.challenge import Challenge, MethodKind
from push_service.model.decision import Actor, Remembered
from push_service.model.errors import InvalidRequest, InvalidToken, UnknownEnrolment
from push_service.model.ids import MethodId
from push_service.model.method import KeyPress, Verdict
from push_service.model.new_phone import NewPhone
from push_service.model.otpauth import Authenticator
from push_service.model.phone_number import masked
from push_service.model.policy import Policy
from push_service.model.rules import confirmation, enrolment
from push_service.model.rules.calls import PHONE
from push_service.model.rules.confirmation import Attempt
from push_service.model.rules.enrolment import Opened, Wanted
from push_service.model.sign_in import Reason
from push_service.model.totp import TotpKey
from push_service.model.user import User
from push_service.ports import Store
from push_service.registrar import Registrar, Session

PHONES = frozenset({MethodKind.TEXT_MOBILE, MethodKind.CALL_MOBILE, MethodKind.CALL_OFFICE})
APPS = frozenset({MethodKind.APP_CODE})

_SECRET_BYTES = 20
"""RFC 4226, 4, R6: 160 bits advised."""
_APP = "Authenticator app"


class OpenedApp(msgspec.Struct, frozen=True):
    """An app's enrolment, with what is to be put into it; told once."""

    opened: Opened
    uri: str
    secret: str


class Enroller:
    """See the module."""

    def __init__(
        self,
        *,
        store: Store,
        decisions: Decisions,
        registrar: Registrar,
        codes: Codes,
        policy: Policy,
        issuer: str,
    ) -> None:
        """Wire it to its ports; `issuer` is the public URL, whose host apps list their entries under."""
        self._store, self._decisions, self._registrar, self._codes = store, decisions, registrar, codes
        self._policy, self._methods = policy, registrar.methods
        self._issuer = urlsplit(issuer).hostname

    async def begin_phone(
        self,
        session: Session,
        phone: NewPhone,
        source: str | None,
        remember: Callable[[Opened], Remembered] | None = None,
    ) -> Opened:
        """Enrol a phone: its text is sent, or its call placed.

        Raises InvalidRequest for numbers that can't be used, TooManyMethods, and TooManyPrompts where it is too soon.
        """
        number = phone.number_for(session.user, self._policy)
        return await self._begin(session, phone.method, number, masked(number), source, remember)

    async def begin_app(
        self,
        session: Session,
        uri: str | None,
        source: str | None,
        remember: Callable[[OpenedApp], Remembered] | None = None,
    ) -> OpenedApp:
        """Enrol an authenticator app: by the otpauth URI that the person brings, or one made here.

        Raises InvalidRequest for URIs that can't be used, and TooManyMethods.
        """
        entry = self._entry(session) if uri is None else otpauth.read(uri)
        target = _APP if uri is None else ": ".join(filter(None, (entry.issuer, entry.account)))
        text = otpauth.uri(entry)

        def compose(opened: Opened) -> OpenedApp:
            return OpenedApp(opened, text, entry.key.secret)

        keep = (lambda opened: remember(compose(opened))) if remember else None
        return compose(await self._begin(session, MethodKind.APP_CODE, entry.key.stored, target, source, keep))

    async def confirm(
        self,
        session: Session,
        enrolment_id: MethodId,
        kinds: frozenset[MethodKind],
        code: str | None,
        source: str | None,
    ) -> User:
        """Confirm an enrolment of one of these kinds, begun in this session; once it is, this changes nothing.

        Raises UnknownEnrolment, WrongCode, TooManyRequests; for a call that # was not pressed in yet NotConfirmed, and
        NotDelivered for what did not reach the phone.
        """
        now = await self._store.now()
        opened = enrolment.open_enrolment(session.user.guard, enrolment_id, session.sign_in.id, now)
        if opened is None:
            return session.user
        if opened.kind not in kinds:
            raise UnknownEnrolment
        enrolment.require_typed(opened, self._methods)
        if code is None or not self._methods[opened.kind].fits(code):
            raise InvalidRequest("This is not a code of the kind that is asked for.")
        asked = await self._store.challenge(opened.challenge_id)
        if asked is None or asked.challenge is None:
            raise UnknownEnrolment
        attempt = Attempt(
            challenge=asked.challenge,
            answer=await self._codes.read(session.user, enrolment_id, code),
            draft=await self._registrar.draft_for(session.sign_in.id, now) if opened.registering else None,
            actor=Actor.BROWSER,
            source=source,
        )
        rule = functools.partial(confirmation.confirm, attempt=attempt, methods=self._methods, policy=self._policy)
        await self._decisions.decide(session.user.id, rule)
        return await self._registrar.user(session.user.id)

    async def pressed(self, challenge: Challenge, keys: KeyPress) -> Verdict | None:
        """Keys were pressed in an enrolment's call. None: nobody waits for them any more."""
        attempt = Attempt(
            challenge=challenge,
            answer=keys,
            draft=await self._registrar.draft_for(challenge.sign_in_id, await self._store.now()),
            actor=Actor.PHONE,
            source=PHONE,
        )
        rule = functools.partial(confirmation.press, attempt=attempt, methods=self._methods, policy=self._policy)
        return await self._decisions.decide(challenge.user_id, rule)

    async def undelivered(self, challenge: Challenge, reason: Reason, code: str) -> None:
        """An enrolment's text or call did not reach the phone."""
        rule = functools.partial(confirmation.undelivered, challenge=challenge, reason=reason, code=code)
        await self._decisions.decide(challenge.user_id, rule)

    async def _begin(
        self,
        session: Session,
        kind: MethodKind,
        secret: str,
        target: str,
        source: str | None,
        remember: Callable[[Opened], Remembered] | None,
    ) -> Opened:
        draft = await self._registrar.draft_for(session.sign_in.id, await self._store.now())
        if draft is None:
            raise InvalidToken
        wanted = Wanted(
            id=ids.method_id(),
            twin=ids.method_id(),
            kind=kind,
            target=target,
            secret=secret,
            sign_in_id=session.sign_in.id,
            registering=session.registering,
            draft=draft,
        )
        rule = functools.partial(
            enrolment.enrol, wanted=wanted, methods=self._methods, policy=self._policy, source=source
        )
        return await self._decisions.decide(session.user.id, rule, (), remember)

    def _entry(self, session: Session) -> Authenticator:
        key = TotpKey(base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode())
        return Authenticator(key, session.user.username, self._issuer)
