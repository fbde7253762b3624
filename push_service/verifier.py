"""The use cases of a sign-in: begin, choose, answer, withdraw, wait.

Every front-end turns its protocol into these calls.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from push_service.applications import Applications
from push_service.crypto import answers
from push_service.crypto.answers import ReceivedAnswer
from push_service.decisions import Decisions
from push_service.drafts import Drafter
from push_service.methods import OFFERED
from push_service.model import ids
from push_service.model.application import Application
from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind, Remembered
from push_service.model.device import Device, DeviceState
from push_service.model.errors import (
    InvalidAnswer,
    InvalidCredentials,
    InvalidRequest,
    InvalidToken,
    NoCodeDue,
    ServiceError,
    TooLate,
    TooManyRequests,
    TooManyWaits,
    UnknownChallenge,
    UnknownDevice,
)
from push_service.model.ids import ChallengeId, MethodId, SignInId
from push_service.model.instant import Instant, seconds_between, unix
from push_service.model.method import Methods, SignedAnswer
from push_service.model.policy import MAX_WAITS, RESULT_SECONDS, Policy
from push_service.model.rules import answer as answering
from push_service.model.rules import browser
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.rules.begin import PASSWORD_ONLY, BeginRequest, begin
from push_service.model.sign_in import Asker, Reason, SignInState
from push_service.model.throttle import Charge
from push_service.model.user import Pending, User, name_key
from push_service.model.view import Seen, as_of, readable, result_until, wire_version, without_result
from push_service.ports import PasswordChecker, Store, TokenSigner, Topic
from push_service.waits import Look, Waiter, Waits

RESULT_TYP = "sign-in-result+jwt"


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser, or an application for it, asks."""

    application: Application
    username: str
    password: str | None
    asker: Asker
    address: str | None
    """What limits by address count by; None where an authenticated application named no browser."""
    replaces: str | None = None
    nonce: str | None = None


class Begun(msgspec.Struct, frozen=True):
    """A sign-in with the secret that is told once, to whoever began it."""

    seen: Seen
    browser_token: str


class _Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    iss: str
    aud: str
    sub: str
    preferred_username: str
    auth_time: int
    iat: int
    exp: int
    amr: tuple[str, ...]
    sid: str
    jti: str
    nonce: str | None = None


class Waiting:
    """One browser that waits for its sign-in."""

    __slots__ = ("_sign_in_id", "_token", "_verifier", "_waiter", "_waits")

    def __init__(self, verifier: Verifier, waits: Waits, sign_in_id: SignInId, token: str) -> None:
        """Made by Verifier.waiting."""
        self._verifier, self._waits, self._sign_in_id, self._token = verifier, waits, sign_in_id, token
        self._waiter: Waiter = waits.on(Topic.sign_in(sign_in_id))

    async def __aenter__(self) -> Self:
        """Subscribe. Raises TooManyWaits, and InvalidToken for whoever would only be told that."""
        if self._waits.waiting(Topic.sign_in(self._sign_in_id)) >= MAX_WAITS:
            await self._verifier.look(self._sign_in_id, self._token)
            raise TooManyWaits(retry_after=1)
        await self._waiter.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        await self._waiter.__aexit__(kind, problem, trace)

    async def changed(self, after: int | None, seconds: float) -> Seen:
        """The sign-in once its version differs from `after`, or is final, or the time is over."""

        async def read() -> tuple[Seen, Look]:
            seen, now = await self._verifier.look(self._sign_in_id, self._token)
            same = after is not None and seen.sign_in.live and wire_version(seen) == after
            return seen, Look(same, seconds_between(now, seen.sign_in.expires_at))

        return await self._waiter.until(read, seconds)


class Verifier:
    """See the module; one object serves the whole process."""

    def __init__(  # noqa: PLR0913 - the parts list of the use cases
        self,
        *,
        store: Store,
        waits: Waits,
        decisions: Decisions,
        passwords: PasswordChecker,
        signer: TokenSigner,
        drafter: Drafter,
        applications: Applications,
        policy: Policy,
        issuer: str,
        methods: Methods = OFFERED,
    ) -> None:
        """Wire the use cases to their ports."""
        self._store, self._waits, self._decisions, self._passwords = store, waits, decisions, passwords
        self._signer, self._drafter, self._applications = signer, drafter, applications
        self._policy, self._issuer, self._methods = policy, issuer, methods
        self._encode = msgspec.json.Encoder().encode

    @property
    def methods(self) -> Methods:
        """What can be verified by."""
        return self._methods

    async def begin(self, asked: Begin, remember: Callable[[Begun], Remembered] | None = None) -> Begun:
        """Begin a sign-in. `remember` makes the row by which the same request gets the same answer again."""
        now = await self._store.now()
        user, charges = await self._first_factor(asked)
        former = await self._former(asked)
        sign_in_id = ids.sign_in_id()
        token = _token(sign_in_id)
        request = BeginRequest(
            sign_in_id=sign_in_id,
            token_hash=ids.digest(token),
            registration_hash=ids.digest(registration_token(token)),
            application_id=asked.application.id,
            asker=asked.asker,
            proven=PASSWORD_ONLY if asked.password is not None else (),
            nonce=asked.nonce,
            replaces=former.sign_in.id if former else None,
            draft=self._drafter.draft(now, user.username, asked.application.name, asked.asker),
        )
        if former and former.user.id != user.id:
            await self._replace(former, asked.asker.ip)

        keep = functools.partial(_compose, remember, token) if remember else None
        rule = functools.partial(begin, request=request, methods=self._methods, policy=self._policy)
        return Begun(await self._decisions.decide(user.id, rule, charges, keep), token)

    async def look(self, sign_in_id: SignInId, token: str) -> tuple[Seen, Instant]:
        """The sign-in as its browser sees it now.

        Raises InvalidToken for a wrong token and an unknown sign-in alike.
        """
        now = await self._store.now()
        seen = await self._store.watch(sign_in_id)
        known = seen.sign_in.token_hash if seen else ids.digest("")
        right = hmac.compare_digest(known, ids.digest(token))
        if seen is None or not right or not readable(seen.sign_in, now):
            raise InvalidToken
        seen = as_of(seen, now)
        if seen.sign_in.result_jti and await self._applications.find(seen.sign_in.application_id) is None:
            seen = without_result(seen)  # the application was removed: nobody is left who should have it
        return seen, now

    def waiting(self, sign_in_id: SignInId, token: str) -> Waiting:
        """Wait for a sign-in, with `async with`: subscribed before the first read, so that nothing falls in between."""
        return Waiting(self, self._waits, sign_in_id, token)

    async def choose(
        self,
        sign_in_id: SignInId,
        token: str,
        method_id: MethodId,
        instead_of: ChallengeId | None,
        remember: Callable[[Seen], Remembered] | None = None,
    ) -> Seen:
        """Put a new challenge by the method, in place of the present one."""
        seen, now = await self.look(sign_in_id, token)
        sign_in = seen.sign_in
        application = await self._applications.named(sign_in.application_id)
        name = application.name if application else ""
        draft = self._drafter.draft(now, seen.user.username, name, sign_in.asker, begun_at=sign_in.begun_at)
        rule = functools.partial(
            browser.choose,
            sign_in_id=sign_in_id,
            method_id=method_id,
            instead_of=instead_of,
            draft=draft,
            methods=self._methods,
            policy=self._policy,
        )
        chosen = await self._decisions.decide(seen.user.id, rule, (), remember and functools.partial(_if_any, remember))
        return chosen or await self._over(sign_in_id, token)

    async def type_code(self, sign_in_id: SignInId, token: str, code: str) -> Seen:
        """Answer the present challenge by a typed code. None of the methods offered takes one yet."""
        seen, _ = await self.look(sign_in_id, token)
        if not seen.sign_in.live:
            raise TooLate(state=seen.sign_in.state.value)
        del code
        raise NoCodeDue

    async def withdraw(self, sign_in_id: SignInId, token: str, source: str | None) -> Seen:
        """Cancel a sign-in; doing it again is the same."""
        seen, _ = await self.look(sign_in_id, token)
        if seen.sign_in.live:
            rule = functools.partial(browser.withdraw, sign_in_id=sign_in_id, source=source)
            withdrawn = await self._decisions.decide(seen.user.id, rule)
            if withdrawn:
                return withdrawn
            seen, _ = await self.look(sign_in_id, token)
        if seen.sign_in.state is SignInState.WITHDRAWN:
            return seen
        raise TooLate(state=seen.sign_in.state.value)

    async def answer(
        self,
        device: Device,
        token: str,
        challenge_id: str | None = None,
        shown: Callable[[ChallengeId], Pending | None] = lambda _: None,
    ) -> tuple[ChallengeId, AnswerOutcome]:
        """Take a device's signed answer. `challenge_id`, where the request names it too, must be the answer's."""
        try:
            return await self._answer(device, token, challenge_id, shown)
        except (InvalidAnswer, UnknownChallenge) as refusal:
            await self._decisions.record(
                Audit(
                    kind=AuditKind.ANSWER_REFUSED,
                    actor=Actor.DEVICE,
                    user_id=device.user_id,
                    code=refusal.code,
                    source=device.id,
                )
            )
            raise

    def result(self, seen: Seen, now: Instant) -> str | None:
        """The signed result of an approved sign-in, until it ends or was taken back."""
        sign_in = seen.sign_in
        until = result_until(sign_in)
        if until is None or now >= until or sign_in.decided_at is None or sign_in.result_jti is None:
            return None
        outcome = unix(sign_in.decided_at)
        claims = _Result(
            iss=self._issuer,
            aud=sign_in.application_id,
            sub=sign_in.user_id,
            preferred_username=seen.user.username,
            auth_time=outcome,
            iat=outcome,
            exp=outcome + RESULT_SECONDS,
            amr=sign_in.amr,
            sid=sign_in.id,
            jti=sign_in.result_jti,
            nonce=sign_in.nonce,
        )
        return self._signer.sign(self._encode(claims), RESULT_TYP)

    async def _first_factor(self, asked: Begin) -> tuple[User, Sequence[Charge]]:
        """Who it is, with what is to be charged along with the begin. Raises InvalidCredentials."""
        by_address = _charge_address(asked, self._policy)
        if asked.password is None:
            if not asked.application.may_vouch:
                raise InvalidRequest("A password is needed: this application may not vouch for anyone.")
            user = await self._find(asked.username)
            if user is None:
                raise InvalidCredentials
            return user, by_address
        user = await self._find(asked.username)
        wrong = _charge_wrong_password(asked, self._policy)
        try:
            await self._store.debit((*by_address, wrong))
        except TooManyRequests as refusal:
            await self._refuse(asked, user, refusal)
            raise
        if not await self._passwords.check(user, asked.password):
            await self._refuse(asked, user, InvalidCredentials())
            raise InvalidCredentials
        if user is None:
            raise AssertionError  # pragma: no cover - a checker never accepts a password of nobody
        return user, (wrong.given_back(),)

    async def _find(self, username: str) -> User | None:
        try:
            return await self._store.user_by_name(name_key(username))
        except InvalidRequest:
            return None

    async def _refuse(self, asked: Begin, user: User | None, refusal: ServiceError) -> None:
        await self._decisions.record(
            Audit(
                kind=AuditKind.SIGN_IN_REFUSED,
                actor=Actor.BROWSER,
                user_id=user.id if user else None,
                code=refusal.code,
                source=asked.asker.ip,
                data={"application": asked.application.id},
            )
        )

    async def _former(self, asked: Begin) -> Seen | None:
        """The sign-in that this one replaces: only its own token names it.

        One that is unknown or over is nothing to replace.
        """
        if asked.replaces is None:
            return None
        try:
            seen, _ = await self.look(sign_in_of(asked.replaces), asked.replaces)
        except InvalidToken:
            return None
        return seen if seen.sign_in.live else None

    async def _replace(self, former: Seen, source: str | None) -> None:
        """Withdraw what this browser began for somebody else; if that has come to its end meanwhile, so be it."""
        rule = functools.partial(browser.withdraw, sign_in_id=former.sign_in.id, source=source, reason=Reason.REPLACED)
        await self._decisions.decide(former.user.id, rule)

    async def _over(self, sign_in_id: SignInId, token: str) -> Seen:
        seen, _ = await self.look(sign_in_id, token)
        raise TooLate(state=seen.sign_in.state.value)

    async def _answer(
        self, device: Device, token: str, named: str | None, shown: Callable[[ChallengeId], Pending | None]
    ) -> tuple[ChallengeId, AnswerOutcome]:
        received = ReceivedAnswer(token)
        challenge_id = ChallengeId(named if named is not None else received.challenge_id)
        found = shown(challenge_id) or await self._store.challenge(challenge_id)
        if found is None or found.challenge is None or found.sign_in.user_id != device.user_id:
            raise UnknownChallenge
        now = await self._store.now()
        given = received.check(device, found.challenge, now)
        if found.challenge.state is ChallengeState.PENDING and found.sign_in.open_at(now):
            answers.require_number(given, found.challenge)
            rule = functools.partial(
                answering.answer,
                given=given,
                methods=self._methods,
                policy=self._policy,
            )
            outcome = await self._decisions.decide(device.user_id, rule)
            if outcome is not None:
                return challenge_id, outcome
        return challenge_id, await self._answer_again(device, challenge_id, given)

    async def _answer_again(self, device: Device, challenge_id: ChallengeId, given: SignedAnswer) -> AnswerOutcome:
        now = await self._store.now()
        found = await self._store.challenge(challenge_id)
        if found is None or found.challenge is None:
            raise UnknownChallenge
        present = await self._store.device(device.id)
        if present is None or present.state is not DeviceState.ACTIVE:
            raise UnknownDevice
        try:
            return answering.repeated(found.challenge, found.sign_in, given, now)
        except TooLate:
            if not answering.is_fraud_report(given):
                raise
        rule = functools.partial(answering.report_fraud_late, given=given, sign_in=found.sign_in, policy=self._policy)
        try:
            await self._decisions.decide(device.user_id, rule)
        except TooLate as late:
            # The report may have ended the sign-in itself, where another challenge had taken this one's place.
            now = await self._store.now()
            ended = await self._store.challenge(challenge_id) or found
            raise TooLate(state=answering.reached(ended.sign_in, now).value, reported=late.reported) from None
        raise AssertionError  # pragma: no cover - the rule always refuses


def sign_in_of(token: str) -> SignInId:
    """Which sign-in a token says that it is for; whether it is, the token's hash decides."""
    return SignInId("si_" + token.partition("_")[2].partition(".")[0])


def registration_token(browser_token: str) -> str:
    """The token of the same sign-in that opens its registration and nothing else.

    Made from the browser's, so that a page that was loaded again gets it again; the way back is a preimage of SHA-256.
    """
    name = browser_token.partition("_")[2].partition(".")[0]
    return f"rt_{name}.{ids.digest('registration ' + browser_token)}"


def _token(sign_in_id: SignInId) -> str:
    secret = ids.secret_token("").removeprefix("_")
    return f"bt_{sign_in_id.removeprefix('si_')}.{secret}"


def _compose(remember: Callable[[Begun], Remembered], token: str, seen: Seen) -> Remembered:
    return remember(Begun(seen, token))


def _if_any(remember: Callable[[Seen], Remembered], seen: Seen | None) -> Remembered | None:
    return remember(seen) if seen else None


def _charge_address(asked: Begin, policy: Policy) -> tuple[Charge, ...]:
    return (Charge.one(f"begins:{asked.address}", policy.begins_per_address),) if asked.address else ()


def _charge_wrong_password(asked: Begin, policy: Policy) -> Charge:
    """By person and address: nobody elsewhere can keep a right password out."""
    try:
        name = name_key(asked.username)
    except InvalidRequest:
        name = ""
    key = ids.digest(f"{name}\0{asked.address or asked.application.id}")
    return Charge.one(f"passwords:{key}", policy.wrong_passwords)
