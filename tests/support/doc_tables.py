"""The parts of the documentation that the code itself can say: the route table of docs/http.md.

`python -m tests.support.doc_tables` writes it anew; tests/test_docs.py fails while it is not up to date. Everything in
it comes from the routes, by way of the OpenAPI document that a running service publishes.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from aiohttp.test_utils import make_mocked_request

from push_service.app import Server
from push_service.config import load
from push_service.core import open_core

HTTP = Path(__file__).parents[2] / "docs" / "http.md"

_WHO = {
    "application": "an application (HTTP Basic)",
    "browser_token": "whoever has the sign-in's `browser_token`",
    "settings_token": "a fresh two-step sign-in for `settings`, or a registration token",
    "device_proof": "an activated device, by its proof",
    "provider_signature": "the telephony provider, by its signature",
}
_PUBLIC = "a page of a registered origin"
_TITLES = {
    "Sign-in": "Sign-in: browsers, and applications for them",
    "Devices": "Devices: phones",
    "Settings": "Settings: what a person has registered",
    "Clients": "Clients: programs that can't show a second step",
    "Telephony": "Telephony: news of texts and calls",
    "Pages": "Pages: not for programs",
    "Operations": "Operations",
}
_HEAD = """\
# Routes

Written by `python -m tests.support.doc_tables` from the routes themselves; what each of them takes and answers in full
is in `GET /openapi.json`. [errors.md](errors.md) explains the codes, [protocol.md](protocol.md) how the routes are used
together.

- Any route can also answer 500 `internal_error`, and any path 404 `not_found` or 405 `method_not_allowed`.
- *Key* marks those that heed `Idempotency-Key`.
- A registration token opens `GET /v1/me` and what registers a phone or an authenticator app, and nothing else.
- Below `/v1/admin` an administrator with a fresh two-step sign-in for `administration` meets the routes that are there;
  everybody else is refused, whatever the path.
- `OPTIONS` on `/v1/sign-ins…` and `/v1/me…` answers browsers that ask before they call from a registered origin.
- `/static/…` holds what the pages load. `POST /sign-in/begin` takes requests of the hosted page alone.
"""

Json = dict[str, Any]


@asynccontextmanager
async def unstarted_server() -> AsyncIterator[Server]:
    """All parts of a server on an empty store, wired as they are when it serves, but not listening."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")}
    with tempfile.TemporaryDirectory() as folder:
        settings = {"PUSH_SERVICE_DATA_DIR": f"{folder}/data", "PUSH_SERVICE_PUBLIC_URL": "http://localhost:8400"}
        with mock.patch.dict(os.environ, ours | settings, clear=True):
            loaded = load()
        async with open_core(loaded, logged=True) as core:
            yield Server(core)


async def openapi(server: Server) -> Json:
    """The document that the server publishes."""
    answer = await server.operations.description(make_mocked_request("GET", "/openapi.json"))
    text = getattr(answer, "text", None)
    assert isinstance(text, str)
    document: Json = json.loads(text)
    return document


def http_tables(document: Json) -> str:
    """docs/http.md."""
    by_tag: dict[str, list[str]] = {tag: [] for tag in _TITLES}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag[operation["tags"][0]].append(_row(method.upper(), path, operation))
    head = "| route | what it does | who may | refusals |\n|---|---|---|---|\n"
    parts = [f"## {_TITLES[tag]}\n\n{head}{''.join(rows)}" for tag, rows in by_tag.items()]
    return "\n".join((_HEAD, *parts))


def _row(method: str, path: str, operation: Json) -> str:
    names = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    query = f"`?{'&'.join(sorted(names, reverse=True))}`" if names else ""
    key = "*Key*" if any(each["name"] == "Idempotency-Key" for each in operation["parameters"]) else ""
    what = ". ".join(filter(None, (operation["summary"], query, key)))
    return f"| `{method} {path}` | {what} | {_who(operation)} | {refusals(operation)} |\n"


def _who(operation: Json) -> str:
    named = [_WHO[name] for each in operation.get("security", ()) for name in each]
    return " or ".join([*named, *([_PUBLIC] if {} in operation.get("security", ()) else ())]) or "anyone"


def refusals(operation: Json) -> str:
    """What an operation can be refused with, as the table says it."""
    found = []
    for status, reply in operation["responses"].items():
        schema = reply.get("content", {}).get("application/problem+json", {}).get("schema", {})
        for part in schema.get("allOf", ()):
            codes = part.get("properties", {}).get("code", {}).get("enum", ())
            found += [f"{status} `{code}`" for code in codes]
    return ", ".join(found) or "none"


async def _write() -> None:
    async with unstarted_server() as server:
        HTTP.write_text(http_tables(await openapi(server)))


if __name__ == "__main__":
    asyncio.run(_write())
