"""What operators and machines ask: alive, ready, measured, described, and verified by which keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from push_service.crypto.keyring import JwkSet, Keyring
from push_service.frontends import http
from push_service.frontends.http import Route
from push_service.model.errors import ServiceError
from push_service.ports import Bus, Store

_KEYS_SECONDS = 300
_METRICS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


class Readiness(msgspec.Struct, frozen=True):
    """Whether new work should come here, what stands against it, and what does not work meanwhile (`degraded`)."""

    ready: bool
    failing: dict[str, str]
    degraded: dict[str, str]


class OperationsFrontend:
    """`/livez`, `/readyz`, `/metrics`, `/.well-known/jwks.json`, `/openapi.json`. They answer whatever Host says."""

    def __init__(self, store: Store, bus: Bus, keyring: Keyring, *, measured: Callable[[], Awaitable[bytes]]) -> None:
        """Report on these parts; `measured` gives the metrics' text."""
        self._store, self._bus, self._keyring, self._measured = store, bus, keyring, measured
        self._alarms: list[Callable[[], dict[str, str]]] = []
        self._draining = False
        self._description: Callable[[], bytes] = lambda: b"{}"

    def drain(self) -> None:
        """From now on nothing new should come here."""
        self._draining = True

    def alarm_by(self, alarms: Callable[[], dict[str, str]]) -> None:
        """Show these alarms, too: parts that don't work, though new work is welcome."""
        self._alarms.append(alarms)

    def describe_by(self, description: Callable[[], bytes]) -> None:
        """Say how the OpenAPI document is made, once all routes are known."""
        self._description = description

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            _route("/livez", self.live, "Whether the process is alive", {200: None}, "text/plain"),
            _route("/readyz", self.ready, "Whether it should be sent work", {200: Readiness, 503: Readiness}),
            _route("/metrics", self.metrics, "Prometheus metrics", {200: None}, "text/plain"),
            _route(
                "/.well-known/jwks.json", self.keys, "The keys that results and contexts verify with", {200: JwkSet}
            ),
            _route("/openapi.json", self.description, "This interface", {200: None}, http.JSON),
        ]

    async def live(self, _: web.Request) -> web.StreamResponse:
        """`GET /livez`."""
        return web.Response(text="alive\n")

    async def ready(self, _: web.Request) -> web.StreamResponse:
        """`GET /readyz`."""
        failing: dict[str, str] = {}
        if self._draining:
            failing["process"] = "is shutting down"
        try:
            await self._store.check()
        except ServiceError as refusal:
            failing["store"] = refusal.detail
        # Without the bell everyone hears a few seconds later, and no process is better off than another.
        degraded = {part: told for alarms in self._alarms for part, told in alarms().items()}
        if self._bus.trouble:
            degraded["bus"] = self._bus.trouble
        return http.json_reply(Readiness(not failing, failing, degraded), 503 if failing else 200)

    async def metrics(self, _: web.Request) -> web.StreamResponse:
        """`GET /metrics`."""
        return web.Response(body=await self._measured(), headers=_METRICS)

    async def keys(self, _: web.Request) -> web.StreamResponse:
        """`GET /.well-known/jwks.json`."""
        response = http.json_reply(self._keyring.published(await self._store.now()))
        response.headers["Cache-Control"] = f"public, max-age={_KEYS_SECONDS}"
        return response

    async def description(self, _: web.Request) -> web.StreamResponse:
        """`GET /openapi.json`."""
        return web.Response(body=self._description(), content_type=http.JSON)


def _route(
    path: str, handle: http.Handle, summary: str, replies: dict[int, type | None], media: str | None = None
) -> Route:
    return Route(
        method="GET", path=path, handle=handle, summary=summary, tag="Operations", replies=replies, media=media
    )
