"""`client-sign-ins`: what a client without a second step costs, by an app password and by the ordinary one.

Server and load have a core each. Over a few connections an application asks about clients of many people, one after the
other: with app passwords; with the ordinary password where only an app password opens, which is refused unseen; and
with the ordinary password where that opens, which is hashed. Beside them a bare aiohttp route is asked the same and
answers at once. What counts is the server's CPU time for a request.
"""

import asyncio
import base64
import csv
import os
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from unittest import mock

import msgspec
import uvloop
from rich.console import Console

from bench import processes
from bench.figures import Latency, Spread
from bench.machine import cores, pinned
from bench.people import Vouching
from bench.results import Options, Table, errors_text
from bench.wire import Address, HttpConnection, request
from push_service.app_passwords import AppPasswords
from push_service.config import load
from push_service.core import open_core

ROUNDS = 5
SECONDS = 3.0
PEOPLE = 32
CONNECTIONS = 4
"""Enough that the server never waits for the next request."""

BARE, APP_PASSWORD, REFUSED, ORDINARY = "bare aiohttp route", "app password", "refused unseen", "ordinary password"
COUNTED_WIDE = {"PUSH_SERVICE_POLICY__WRONG_PASSWORDS": "1000000/1m"}
"""Or the refusals would soon be others."""

_encode = msgspec.json.Encoder().encode


class _Client(msgspec.Struct):
    ip: str


class _Asked(msgspec.Struct):
    username: str
    password: str
    purpose: str = "use"
    client: _Client = msgspec.field(default_factory=lambda: _Client("192.0.2.1"))


@dataclass(frozen=True)
class Round:
    """One turn of one kind of request."""

    name: str
    requests: int
    cpu_microseconds: float
    """Of the server, for each request."""
    latency: Latency
    unexpected: Mapping[str, int]


@dataclass(frozen=True)
class ClientSignInsResult:
    """All rounds."""

    rounds: Sequence[Round]

    def tables(self) -> Sequence[Table]:
        """What a request costs, and how many bare routes that is."""
        return [
            Table(
                f"What a client costs; medians [range] of {len(self._of(BARE))} rounds",
                ("", "server CPU µs", "of the bare route", "p50 ms", "p99 ms", "errors"),
                [self._row(name) for name in (BARE, APP_PASSWORD, REFUSED, ORDINARY)],
            )
        ]

    def _of(self, name: str) -> Sequence[Round]:
        return [each for each in self.rounds if each.name == name]

    def _row(self, name: str) -> Sequence[str]:
        taken = self._of(name)
        bare = Spread.of(each.cpu_microseconds for each in self._of(BARE)).median
        return (
            name,
            Spread.of(each.cpu_microseconds for each in taken).text(0),
            Spread.of(each.cpu_microseconds / bare for each in taken).text(),
            Spread.of(each.latency.p50 for each in taken).text(2),
            Spread.of(each.latency.p99 for each in taken).text(2),
            errors_text(sum((Counter(each.unexpected) for each in taken), Counter[str]())),
        )


@dataclass(frozen=True)
class _Kind:
    name: str
    expected: int
    server: processes.Server
    messages: Sequence[bytes]


def run(options: Options, console: Console) -> ClientSignInsResult:
    """Measure. Raises `StartError` if a server does not start."""
    rounds, seconds = options.rounds_or(ROUNDS), options.seconds_or(SECONDS)
    taken: list[Round] = []
    with processes.data_directory() as directory:
        with console.status(f"making {2 * PEOPLE} people and their app passwords"):
            clients = _prepare(directory / "data")
        with (
            processes.bare_route(cores().server) as bare,
            processes.service(directory / "data", cores().server, COUNTED_WIDE) as server,
            pinned(cores().load),
        ):
            kinds = [
                _Kind(BARE, 200, bare, clients.messages(bare.address, clients.by_app_password)),
                _Kind(APP_PASSWORD, 200, server, clients.messages(server.address, clients.by_app_password)),
                _Kind(REFUSED, 403, server, clients.messages(server.address, clients.refused)),
                _Kind(ORDINARY, 200, server, clients.messages(server.address, clients.by_password)),
            ]
            for number in range(rounds):
                for kind in kinds:
                    with console.status(f"{kind.name}, round {number + 1} of {rounds}"):
                        taken.append(uvloop.run(_round(kind, seconds)))
    return ClientSignInsResult(taken)


@dataclass(frozen=True)
class _Clients:
    application: Vouching
    by_app_password: Sequence[_Asked]
    refused: Sequence[_Asked]
    by_password: Sequence[_Asked]

    def messages(self, address: Address, asked: Sequence[_Asked]) -> Sequence[bytes]:
        secret = f"{self.application.client_id}:{self.application.client_secret}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(secret).decode()}
        return [request("POST", "/v1/client-sign-ins", address, headers, _encode(each)) for each in asked]


def _prepare(data: Path) -> _Clients:
    """People of whom half need an app password and have one."""
    enforced = [_Asked(f"enforced-{number}", secrets.token_urlsafe(15)) for number in range(PEOPLE)]
    enabled = [_Asked(f"enabled-{number}", secrets.token_urlsafe(15)) for number in range(PEOPLE)]
    table = data.parent / "people.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["username", "password", "state"])
        writer.writerows([who.username, who.password, "enforced"] for who in enforced)
        writer.writerows([who.username, who.password, "enabled"] for who in enabled)
    processes.run_command(data, "user", "import", str(table))
    added = processes.run_command(data, "application", "add", "bench", "--json")
    application = msgspec.json.decode(added, type=Vouching)
    letters = asyncio.run(_app_passwords(data, [who.username for who in enforced]))
    with_letters = [
        msgspec.structs.replace(who, password=password) for who, password in zip(enforced, letters, strict=True)
    ]
    return _Clients(application, with_letters, enforced, enabled)


async def _app_passwords(data: Path, usernames: Sequence[str]) -> Sequence[str]:
    """An app password for each, without a page: by the same use case as the settings'."""
    with mock.patch.dict(os.environ, processes.service_environment(data)):
        settings = load()
    async with open_core(settings) as core:
        app_passwords = AppPasswords(core.store, core.decisions, core.sealer.mac)
        made = [await app_passwords.make(await core.administrator.user(name), "Mail", None) for name in usernames]
        return [each.password for each in made]


async def _round(kind: _Kind, seconds: float) -> Round:
    latencies: list[float] = []
    unexpected = Counter[str]()
    until = time.perf_counter() + seconds
    messages = cycle(kind.messages)

    async def ask_on() -> None:
        connection = await HttpConnection.open(kind.server.address)
        while (sent := time.perf_counter()) < until:
            answer = await connection.send(next(messages))
            latencies.append(time.perf_counter() - sent)
            if answer.status != kind.expected:
                unexpected[str(answer.status)] += 1
        connection.close()

    before = kind.server.cpu_seconds()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(ask_on())
    used = kind.server.cpu_seconds() - before
    return Round(kind.name, len(latencies), used / len(latencies) * 1e6, Latency.of(latencies), unexpected)
