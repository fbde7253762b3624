"""The use cases of a sign-in from its browser's side: begin, choose, withdraw, wait. Answers come by `answers.py`."""

from __future__ import annotations

import functools
import hmac
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from push_service.applications import Applications
from push_service.codes import Codes
from push_service.decisions import Decisions
from push_service.drafts import Drafter
from push_service.first_factor import Begin, FirstFactor
from push_service.hops import BeginSteps, Hops
from push_service.methods import ALL
from push_service.model import ids
from push_service.model.challenge import ChallengeState
from push_service.model.decision import Remembered
from push_service.model.errors import (
    InvalidRequest,
    InvalidToken,
    NoCodeDue,
    TooLate,
    TooManyWaits,
)
from push_service.model.ids import ChallengeId, MethodId, SignInId
from push_service.model.instant import Instant, seconds_between, unix
from push_service.model.method import Methods, PromptKind
from push_service.model.policy import MAX_WAITS, RESULT_SECONDS, Policy
from push_service.model.rules import browser, typed
from push_service.model.rules.begin import PASSWORD_ONLY, BeginRequest, begin
from push_service.model.sign_in import Reason, SignInState
from push_service.model.tokens import browser_token, registration_token, sign_in_of
from push_service.model.view import Seen, as_of, readable, result_until, wire_version, without_result
from push_service.ports import Store, TokenSigner, Topic
from push_service.waits import Look, Waiter, Waits

RESULT_TYP = "sign-in-result+jwt"


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

    __slots__ = ("_hops", "_sign_in_id", "_token", "_verifier", "_waiter", "_waits")

    def __init__(self, verifier: Verifier, waits: Waits, hops: Hops, sign_in_id: SignInId, token: str) -> None:
        """Made by Verifier.waiting."""
        self._verifier, self._waits, self._sign_in_id, self._token = verifier, waits, sign_in_id, token
        self._hops = hops
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
        looks = 0

        async def read() -> tuple[Seen, Look]:
            nonlocal looks
            looks += 1
            seen, now = await self._verifier.look(self._sign_in_id, self._token)
            if not seen.sign_in.live:
                self._hops.told(seen.sign_in, now, waited=looks > 1)
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
        first_factor: FirstFactor,
        signer: TokenSigner,
        drafter: Drafter,
        applications: Applications,
        codes: Codes,
        policy: Policy,
        issuer: str,
        methods: Methods = ALL,
        hops: Hops | None = None,
    ) -> None:
        """Wire the use cases to their ports."""
        self._hops = hops or Hops()
        self._store, self._waits, self._decisions, self._first_factor = store, waits, decisions, first_factor
        self._signer, self._drafter, self._applications = signer, drafter, applications
        self._codes = codes
        self._policy, self._issuer, self._methods = policy, issuer, methods
        self._encode = msgspec.json.Encoder().encode

    @property
    def methods(self) -> Methods:
        """What can be verified by."""
        return self._methods

    async def begin(self, asked: Begin, remember: Callable[[Begun], Remembered] | None = None) -> Begun:
        """Begin a sign-in. `remember` makes the row by which the same request gets the same answer again."""
        begun_at = time.perf_counter()
        user, charges = await self._first_factor.check(asked)
        checked_at = time.perf_counter()
        now = await self._store.now()
        former = await self._former(asked)
        sign_in_id = ids.sign_in_id()
        token = browser_token(sign_in_id)
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
        seen = await self._decisions.decide(user.id, rule, charges, keep)
        steps = BeginSteps(checked_at - begun_at, time.perf_counter() - begun_at)
        self._hops.begun(seen.sign_in, steps, asked.trace_parent)
        return Begun(seen, token)

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
        return Waiting(self, self._waits, self._hops, sign_in_id, token)

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
        """Answer the present challenge by a typed code.

        Raises NoCodeDue, InvalidRequest for what has not the form of a code (no try then), and WrongCode.
        """
        seen, _ = await self.look(sign_in_id, token)
        if not seen.sign_in.live:
            raise TooLate(state=seen.sign_in.state.value)
        challenge = seen.challenge
        if challenge is None or challenge.state is not ChallengeState.PENDING:
            raise NoCodeDue
        method = self._methods.get(challenge.kind)
        if method is None or method.prompt is not PromptKind.ENTER_CODE:
            raise NoCodeDue
        if not method.fits(code):
            raise InvalidRequest("This is not a code of the kind that is asked for.")
        rule = functools.partial(
            typed.type_code,
            sign_in_id=sign_in_id,
            challenge_id=challenge.id,
            typed=await self._codes.read(seen.user, challenge.method_id, code),
            methods=self._methods,
            policy=self._policy,
        )
        return await self._decisions.decide(seen.user.id, rule) or await self._over(sign_in_id, token)

    async def withdraw(self, sign_in_id: SignInId, token: str, source: str | None) -> Seen:
        """Cancel a sign-in; doing it again is the same."""
        seen, _ = await self.look(sign_in_id, token)
        if seen.sign_in.live:
            rule = functools.partial(browser.withdraw, sign_in_id=sign_in_id, source=source)
            await self._decisions.decide(seen.user.id, rule)
            seen, _ = await self.look(sign_in_id, token)  # as whoever asks again will see it
        if seen.sign_in.state is SignInState.WITHDRAWN:
            return seen
        raise TooLate(state=seen.sign_in.state.value)

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


def _compose(remember: Callable[[Begun], Remembered], token: str, seen: Seen) -> Remembered:
    return remember(Begun(seen, token))


def _if_any(remember: Callable[[Seen], Remembered], seen: Seen | None) -> Remembered | None:
    return remember(seen) if seen else None
