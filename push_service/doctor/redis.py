"""The bell over Redis: whether its servers answer, and a ring that goes out comes back.

What can be lost without harm is only looked at: nothing is written on these servers, and a ring is one that nobody
else listens to. Questions that an account of least rights may not ask are no fault.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from redis.asyncio.connection import Connection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError, ResponseError

from push_service.bus.redis.address import Address, parse
from push_service.bus.redis.cluster import SlotRange, slots_at
from push_service.bus.redis.wire import PREFIX, Channel
from push_service.config import Settings
from push_service.doctor.check import Check, Finding, fault, ok, warning

SECONDS = 3.0
_OLDEST_CLUSTER = 7
"""Sharded pub/sub came with Redis 7; Valkey, which begins at 7.2, has it always."""
_MESSAGES = (b"message", b"smessage")
_TROUBLES = (RedisError, OSError, TimeoutError)


class _Redis(Check):
    """A check of the servers that BUS_URL names."""

    def __init__(self, settings: Settings) -> None:
        """Look at BUS_URL."""
        self._addresses = parse(settings.bus_url)
        self._workers = settings.workers

    async def _slots(self) -> list[SlotRange]:
        """The map of a cluster, from the first of its named nodes that has one. Raises _TROUBLES."""
        problem: Exception = OSError("no node knows of a slot")
        for address in self._addresses.seeds:
            try:
                async with asyncio.timeout(SECONDS):
                    if slots := await slots_at(address):
                        return slots
            except _TROUBLES as trouble:
                problem = trouble
        raise problem

    async def _primaries(self) -> Sequence[Address]:
        if not self._addresses.cluster:
            return self._addresses.seeds
        return tuple(dict.fromkeys(address for _, _, address in await self._slots()))


class RedisReachable(_Redis):
    """Whether all servers answer and let us in, and are new enough."""

    name = "bus.reachable"

    async def run(self) -> Finding:
        """See Check."""
        try:
            servers = dict.fromkeys((*self._addresses.seeds, *await self._primaries()))
        except _TROUBLES as problem:
            return fault(self, f"No node of the cluster answers: {_said(problem)}.", _REMEDY)
        versions = {}
        for address in servers:
            try:
                versions[str(address)] = await _version(address)
            except _TROUBLES as problem:
                told = f"{address} can't be used: {_said(problem)}."
                if self._addresses.cluster and address in self._addresses.seeds:
                    return warning(self, told, "Mend it, or name another node in BUS_URL.")
                return fault(self, told, _REMEDY)
        if self._addresses.cluster:
            old = [place for place, version in versions.items() if int(version.partition(".")[0]) < _OLDEST_CLUSTER]
            if old:
                return fault(self, f"{', '.join(old)} is older than 7: no sharded pub/sub.", "Install a newer one.")
        return ok(self, "; ".join(f"{place} answers, version {version}" for place, version in versions.items()) + ".")


class RedisHeard(_Redis):
    """Whether what is rung is heard: on a cluster, at each of its primaries."""

    name = "bus.heard"

    async def run(self) -> Finding:
        """See Check."""
        try:
            channels = await self._channels()
            for address, channel in channels.items():
                async with asyncio.timeout(SECONDS):
                    await _hear_oneself(address, channel, sharded=self._addresses.cluster)
        except ResponseError as problem:
            remedy = "Give the account the rights in docs/operations.md, Redis."
            return fault(self, f"The account may not ring or listen: {_said(problem)}.", remedy)
        except _TROUBLES as problem:
            return fault(self, f"A ring was not heard: {_said(problem)}.", _REMEDY)
        return ok(self, f"A ring is heard at {', '.join(map(str, channels))}.")

    async def _channels(self) -> dict[Address, Channel]:
        """One that nobody else listens to, for each primary."""
        if not self._addresses.cluster:
            return {self._addresses.seeds[0]: _channel()}
        found: dict[Address, Channel] = {}
        for first, last, address in await self._slots():
            while address not in found:
                channel = _channel()
                if first <= key_slot(channel) <= last:
                    found[address] = channel
        return found


class RedisSlots(_Redis):
    """Whether each slot of a cluster has a primary."""

    name = "bus.slots"

    async def run(self) -> Finding:
        """See Check."""
        if not self._addresses.cluster:
            return ok(self, "The bus is one server: there are no slots.")
        try:
            slots = await self._slots()
        except _TROUBLES as problem:
            return fault(self, f"No node of the cluster tells its slots: {_said(problem)}.", _REMEDY)
        served = sum(last - first + 1 for first, last, _ in slots)
        if served < REDIS_CLUSTER_HASH_SLOTS:
            told = f"{REDIS_CLUSTER_HASH_SLOTS - served} of {REDIS_CLUSTER_HASH_SLOTS} slots are served by nobody."
            return fault(self, told, "Mend the cluster (redis-cli --cluster check, then fix).")
        nodes = len({address for _, _, address in slots})
        return ok(self, f"All {served:,} slots are served, by {nodes} primaries.")


class RedisConnections(_Redis):
    """Whether the servers take as many connections as there are processes."""

    name = "bus.connections"

    async def run(self) -> Finding:
        """See Check."""
        needed = 2 * self._workers  # in a rolling restart there may be two of each
        try:
            for address in await self._primaries():
                taken, most = await _clients(address)
                if most - taken < needed:
                    told = f"{address} takes {most} clients and has {taken}; this machine needs {needed}."
                    return fault(self, told, "Raise maxclients there.")
        except ResponseError:
            return ok(
                self, "The account may not see how many clients the server takes (INFO); one a process is needed."
            )
        except _TROUBLES as problem:
            return warning(self, f"This was not looked at: {_said(problem)}.", "See bus.reachable.")
        return ok(self, f"There is room for the connections of {self._workers} processes, one each to each primary.")


_REMEDY = "See the server, BUS_URL, its password, and the network between."


def _channel() -> Channel:
    return Channel(PREFIX + b"doctor:" + secrets.token_hex(8).encode())


def _said(problem: BaseException) -> str:
    return " ".join(str(problem).split()) or "no answer in time"


async def _opened(address: Address) -> Connection:
    connection = address.connection()
    async with asyncio.timeout(SECONDS):
        await connection.connect()  # type: ignore[no-untyped-call]
    return connection


async def _version(address: Address) -> str:
    """As the server's greeting has it."""
    connection = await _opened(address)
    try:
        await connection.send_command(b"HELLO", check_health=False)
        async with asyncio.timeout(SECONDS):
            greeting = await connection.read_response()
        return str(greeting[b"version"].decode())
    finally:
        await connection.disconnect(nowait=True)


async def _hear_oneself(address: Address, channel: Channel, *, sharded: bool) -> None:
    """Return once a ring over one connection was heard over another. Raises _TROUBLES."""
    shard = b"S" if sharded else b""
    listening, ringing = await _opened(address), await _opened(address)
    try:
        await listening.send_command(shard + b"SUBSCRIBE", channel, check_health=False)
        await listening.read_response(push_request=True)
        await ringing.send_command(shard + b"PUBLISH", channel, b"doctor", check_health=False)
        await ringing.read_response()
        while (await listening.read_response(push_request=True))[0] not in _MESSAGES:
            pass
    finally:
        await listening.disconnect(nowait=True)
        await ringing.disconnect(nowait=True)


async def _clients(address: Address) -> tuple[int, int]:
    """How many are connected, and how many may be. ResponseError where the account may not ask."""
    connection = await _opened(address)
    try:
        await connection.send_command(b"INFO", b"clients", check_health=False)
        async with asyncio.timeout(SECONDS):
            answer = await connection.read_response()
    finally:
        await connection.disconnect(nowait=True)
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    found = dict(line.split(":", 1) for line in text.split() if ":" in line)
    return int(found["connected_clients"]), int(found["maxclients"])
