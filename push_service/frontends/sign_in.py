"""The sign-in interface: what browsers, and applications for them, call."""

from __future__ import annotations

import functools

import msgspec
from aiohttp import web

from push_service.applications import Applications
from push_service.first_factor import Begin
from push_service.frontends import asker, http
from push_service.frontends.cookies import token_for
from push_service.frontends.gate import Gate
from push_service.frontends.http import Networks, Route
from push_service.frontends.idempotency import Idempotency, Remember
from push_service.frontends.wire import (
    BeginBody,
    ChooseBody,
    CodeBody,
    RegistrationWire,
    SignInWire,
    checked_address,
    sign_in_wire,
)
from push_service.model import errors
from push_service.model.application import Application
from push_service.model.errors import InvalidRequest
from push_service.model.ids import ChallengeId, MethodId, SignInId
from push_service.model.instant import Instant
from push_service.model.sign_in import SignInState
from push_service.model.tokens import registration_token
from push_service.model.view import Seen, wire_version
from push_service.ports import Store
from push_service.strict_json import decode
from push_service.verifier import Begun, Verifier

MAX_WAIT = 60
COMMENT_SECONDS = 15.0
LARGEST_VERSION = 2**53
_encode = msgspec.json.Encoder().encode


BEGIN_ERRORS = (
    errors.InvalidClient,
    errors.InvalidCredentials,
    errors.OriginNotAllowed,
    errors.IdempotencyKeyReused,
    errors.TooManyRequests,
    errors.TooManyPending,
    errors.TooManyPrompts,
    errors.Busy,
    errors.StoreUnavailable,
)
"""What beginning can be refused with, whoever's page it is begun from."""


class WaitQuery(msgspec.Struct, frozen=True):
    """How long to wait, and for what to be different."""

    wait: int = 0
    after: int | None = None


class SignInFrontend:
    """`/v1/sign-ins…`."""

    def __init__(
        self,
        verifier: Verifier,
        applications: Applications,
        store: Store,
        idempotency: Idempotency,
        *,
        public_url: str,
        proxies: Networks,
        gate: Gate | None = None,
    ) -> None:
        """Translate for these use cases."""
        self.gate = gate or Gate()
        self._verifier, self._applications, self._store = verifier, applications, store
        self._idempotency, self._public_url, self._proxies = idempotency, public_url, proxies

    def routes(self) -> list[Route]:
        """What is served here."""
        one = (errors.InvalidToken, errors.OriginNotAllowed, errors.StoreUnavailable)
        route = functools.partial(Route, tag="Sign-in", security=("browser_token",))
        return [
            Route(
                method="POST",
                path="/v1/sign-ins",
                handle=self.begin,
                summary="Begin a sign-in",
                tag="Sign-in",
                body=BeginBody,
                replies={201: SignInWire},
                errors=(*BEGIN_ERRORS, errors.VerificationNotEnabled, errors.RegistrationNeedsPassword),
                security=("application", "public"),
                idempotent=True,
            ),
            route(
                method="GET",
                path="/v1/sign-ins/{id}",
                handle=self.look,
                summary="Look at a sign-in, or wait for it to change",
                query=WaitQuery,
                replies={200: SignInWire},
                errors=(InvalidRequest, errors.TooManyWaits, *one),
            ),
            route(
                method="GET",
                path="/v1/sign-ins/{id}/events",
                handle=self.events,
                summary="Watch a sign-in as server-sent events",
                replies={200: None},
                media="text/event-stream",
                errors=(InvalidRequest, errors.TooManyWaits, *one),
            ),
            route(
                method="POST",
                path="/v1/sign-ins/{id}/challenges",
                handle=self.choose,
                summary="Verify by another method, or ask again",
                body=ChooseBody,
                replies={201: SignInWire},
                errors=(
                    errors.UnknownMethod,
                    errors.TooLate,
                    errors.ChallengeChanged,
                    errors.IdempotencyKeyReused,
                    errors.TooManyPrompts,
                    *one,
                ),
                idempotent=True,
            ),
            route(
                method="POST",
                path="/v1/sign-ins/{id}/code",
                handle=self.code,
                summary="Type the code that the challenge asks for",
                body=CodeBody,
                replies={200: SignInWire},
                errors=(errors.WrongCode, errors.NoCodeDue, errors.TooLate, *one),
            ),
            route(
                method="DELETE",
                path="/v1/sign-ins/{id}",
                handle=self.withdraw,
                summary="Cancel a sign-in",
                replies={200: SignInWire},
                errors=(errors.TooLate, *one),
            ),
        ]

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/sign-ins`."""
        async with self.gate.body_of(request) as raw:
            return await self._begin(request, raw)

    async def _begin(self, request: web.Request, raw: bytes) -> web.StreamResponse:
        body = decode(raw, BeginBody)
        application, trusted = await self._application(request, body)
        asked = self.asked(request, body, application, trusted=trusted)
        caller = application.id if trusted else f"{application.id} {request.headers.get('Origin')} {asked.address}"

        async def work(remember: Remember[Begun] | None) -> Begun:
            return await self._verifier.begin(asked, remember)

        return await self._idempotency.answer(
            request, caller, raw, work, lambda begun: self.begun_wire(begun, application.name)
        )

    def asked(self, request: web.Request, body: BeginBody, application: Application, *, trusted: bool) -> Begin:
        """What the body asks; what it says of the browser counts only from an authenticated application."""
        if not trusted and body.client is not None:
            raise InvalidRequest("Only an authenticated application may describe the browser.")
        peer = http.client_address(request, self._proxies)
        address = checked_address(body.client) if trusted else peer
        agent = body.client.user_agent if trusted and body.client else None
        return Begin(
            application=application,
            username=body.username,
            password=body.password,
            asker=asker.described(address, agent if trusted else request.headers.get("User-Agent")),
            address=address,
            replaces=body.replaces,
            nonce=body.nonce,
            trace_parent=http.trace_parent(request, self._proxies, trusted=trusted),
        )

    def begun_wire(self, begun: Begun, application: str) -> SignInWire:
        """The 201: the only answer with the browser's token in it."""
        shown = self._wire(begun.seen, application, begun.seen.sign_in.begun_at, begun.browser_token)
        return msgspec.structs.replace(shown, browser_token=begun.browser_token)

    async def look(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/sign-ins/{id}`."""
        wait = http.whole_number(request, "wait", MAX_WAIT) or 0
        after = http.whole_number(request, "after", LARGEST_VERSION)
        sign_in_id, token = self._named(request)
        if wait and after is not None:
            async with self._verifier.waiting(sign_in_id, token) as waiting:
                seen = await waiting.changed(after, wait)
        else:
            seen, _ = await self._verifier.look(sign_in_id, token)
        return http.json_reply(await self.shown(seen, token))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/sign-ins/{id}/events`: one event a change, a comment in between so that proxies keep it open."""
        sign_in_id, token = self._named(request)
        last = request.headers.get("Last-Event-ID", "")
        if last and not (last.isascii() and last.isdigit()):
            raise InvalidRequest("Last-Event-ID must be a version.")
        after = int(last) if last else None
        async with self._verifier.waiting(sign_in_id, token) as waiting:
            first = await waiting.changed(None, 0)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            seen = first
            while True:
                version = wire_version(seen)
                if version != after:
                    document = _encode(await self.shown(seen, token))
                    await response.write(b"event: sign-in\nid: %d\ndata: %b\n\n" % (version, document))
                    after = version
                else:
                    await response.write(b": still here\n\n")
                if not seen.sign_in.live:
                    return response
                seen = await waiting.changed(after, COMMENT_SECONDS)

    async def choose(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/sign-ins/{id}/challenges`."""
        sign_in_id, token = self._named(request, changing=True)
        raw = await http.read_body(request)
        body = decode(raw, ChooseBody)
        seen, _ = await self._verifier.look(sign_in_id, token)
        name = await self._name(seen)
        now = await self._store.now()

        async def work(remember: Remember[Seen] | None) -> Seen:
            method_id = MethodId(body.method_id)
            instead_of = ChallengeId(body.instead_of) if body.instead_of else None
            return await self._verifier.choose(sign_in_id, token, method_id, instead_of, remember)

        return await self._idempotency.answer(
            request, sign_in_id, raw, work, lambda chosen: self._wire(chosen, name, now, token)
        )

    async def code(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/sign-ins/{id}/code`."""
        sign_in_id, token = self._named(request, changing=True)
        body = await http.read(request, CodeBody)
        return http.json_reply(await self.shown(await self._verifier.type_code(sign_in_id, token, body.code), token))

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/sign-ins/{id}`."""
        sign_in_id, token = self._named(request, changing=True)
        source = http.client_address(request, self._proxies)
        return http.json_reply(await self.shown(await self._verifier.withdraw(sign_in_id, token, source), token))

    async def shown(self, seen: Seen, token: str) -> SignInWire:
        """The document of a sign-in as of now, for whoever has its token."""
        return self._wire(seen, await self._name(seen), await self._store.now(), token)

    def _wire(self, seen: Seen, application: str, now: Instant, token: str) -> SignInWire:
        state = seen.sign_in.state
        registering = state is SignInState.REGISTRATION_REQUIRED
        return sign_in_wire(
            seen,
            application,
            self._verifier.methods,
            result=self._verifier.result(seen, now) if state is SignInState.APPROVED else msgspec.UNSET,
            registration=RegistrationWire(f"{self._public_url}/registration", registration_token(token))
            if registering
            else msgspec.UNSET,
        )

    async def _name(self, seen: Seen) -> str:
        application = await self._applications.named(seen.sign_in.application_id)
        return application.name if application else ""

    def _named(self, request: web.Request, *, changing: bool = False) -> tuple[SignInId, str]:
        sign_in_id = SignInId(request.match_info["id"])
        return sign_in_id, token_for(request, sign_in_id, self._public_url, changing=changing)

    async def _application(self, request: web.Request, body: BeginBody) -> tuple[Application, bool]:
        """Who asks: an application that authenticates, or a public one by its page's origin."""
        credentials = http.basic(request)
        if credentials is None:
            return await self._applications.of_page(body.application, request.headers.get("Origin")), False
        application = await self._applications.authenticated(*credentials)
        if body.application not in {None, application.id}:
            raise InvalidRequest("The body names another application than the one that authenticates.")
        return application, True
