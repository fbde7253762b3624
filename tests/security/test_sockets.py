"""The device socket under attack: who gets in, what they may say, and how much: S-63, S-64, S-10."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import sqlite3
import struct
from contextlib import closing

import aiohttp
import pytest

from mobile_stub.proofs import Decision
from mobile_stub.wire import Outcome
from tests.support.people import Office

from .socket_by_hand import COMPRESSED, CONTINUATION, FINAL, PING, TEXT, Wire, wire
from .support import (
    NOT_AUTHENTICATED,
    PATIENCE,
    REPLACED,
    SOCKET,
    TOO_MANY_MESSAGES,
    Scene,
    claims,
    header,
    jws,
    proof,
    raw_socket,
    ready_socket,
    scene,
)

TOO_BIG = aiohttp.WSCloseCode.MESSAGE_TOO_BIG
LARGEST_FRAME = 16 * 1024


async def others_go_on(stage: Scene) -> None:
    """Another person's whole sign-in, by socket, meanwhile."""
    async with ready_socket(stage.browser.session, stage.phone) as socket, asyncio.timeout(PATIENCE):
        sign_in = await stage.browser.begin(stage.user.username)
        challenge = (await socket.until("challenge"))["challenge"]
        shown = next(each for each in (await stage.phone.poll()).challenges if each.id == challenge["id"])
        answer = stage.phone.sign(shown, Decision.VERIFY, sign_in.number)
        await socket.send(type="answer", ref="r", answer=answer)
        assert (await socket.until("outcome"))["outcome"] == "completed"
        assert (await sign_in.outcome())["state"] == "approved"


# --- S-63: who gets in ------------------------------------------------------------------------------------------------


@pytest.mark.security("S-63", "S-41")
async def test_no_page_of_another_origin_opens_a_device_socket(desk: Office) -> None:
    async with desk.service.session() as session:
        for origin in (
            "https://evil.example",
            "null",
            desk.service.url + ".evil.example",
            "http://localhost",
            "file://",
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await session.ws_connect(SOCKET, headers={"Origin": origin})
            assert refusal.value.status == 403, origin
        plain = await session.get(SOCKET)
        assert plain.status == 400
        for headers in ({}, {"Origin": desk.service.url}):
            async with raw_socket(session, headers=headers) as socket:
                assert (await socket.frame())["type"] == "hello"


@pytest.mark.security("S-63", "S-10")
async def test_nothing_but_a_fresh_proof_of_the_device_over_this_hello_opens_the_socket(desk: Office) -> None:
    async with scene(desk) as stage, scene(desk) as mallory:
        sign_in, challenge = await stage.ask()
        before = stage.dump(mallory.user)
        session, phone = stage.browser.session, stage.phone
        async with raw_socket(session) as first:
            old = (await first.frame())["nonce"]
        used: list[str] = []
        async with raw_socket(session) as second:
            nonce = (await second.frame())["nonce"]
            used.append(phone.api.proof("GET", SOCKET, nonce=nonce))
            await second.send(type="authenticate", proof=used[0])
            assert (await second.frame())["type"] == "ready"
        assert nonce != old
        said = claims(phone, challenge, sign_in.number)
        openings: dict[str, object] = {
            "an old nonce": {"type": "authenticate", "proof": phone.api.proof("GET", SOCKET, nonce=old)},
            "a used proof": {"type": "authenticate", "proof": used[0]},
            "no nonce": {"type": "authenticate", "proof": phone.api.proof("GET", SOCKET)},
            "an empty nonce": {"type": "authenticate", "proof": phone.api.proof("GET", SOCKET, nonce="")},
            "a proof for a list": {"type": "authenticate", "proof": proof(phone, "GET", "/v1/device/challenges")},
            "an answer for a proof": {"type": "authenticate", "proof": jws(header(phone), said, phone.key)},
            "no proof": {"type": "authenticate"},
            "proof null": {"type": "authenticate", "proof": None},
            "a long proof": {"type": "authenticate", "proof": "x" * 9000},
            "received": {"type": "received", "challenge_id": challenge.id},
            "an answer": {"type": "answer", "ref": "r", "answer": jws(header(phone), said, phone.key)},
            "hello": {"type": "hello", "nonce": old, "protocol": 1},
            "ready": {"type": "ready", "device_id": phone.device_id},
            "subscribe": {"type": "subscribe", "device_id": phone.device_id},
            "no type": {"proof": used[0]},
            "a list": [{"type": "authenticate"}],
            "a number": 1,
            "nothing": None,
        }
        for name, opening in openings.items():
            async with raw_socket(session) as socket:
                await socket.frame()
                await socket.wire.send_json(opening)
                assert await socket.close_code() == (NOT_AUTHENTICATED, []), name
        for data in (b"{", b"", b"\xff", b'{"type":"authenticate","type":"received"}'):
            async with raw_socket(session) as socket:
                await socket.frame()
                if data == b"\xff":
                    await socket.wire.send_bytes(data)
                else:
                    await socket.wire.send_str(data.decode())
                assert await socket.close_code() == (NOT_AUTHENTICATED, []), data
        for name, signer, kid in (
            ("the other's device by one's own key", mallory.phone.key, phone.device_id),
            ("one's own device by the other's key", phone.key, mallory.phone.device_id),
        ):
            async with raw_socket(session) as socket:
                hello = await socket.frame()
                made = proof(phone, "GET", SOCKET, nonce=hello["nonce"])
                forged = jws({"alg": "ES256", "typ": "device-proof+jwt", "kid": kid}, _payload(made), signer)
                await socket.send(type="authenticate", proof=forged)
                assert await socket.close_code() == (NOT_AUTHENTICATED, []), name
        for off in (-61, 80):
            async with raw_socket(session) as socket:
                nonce = (await socket.frame())["nonce"]
                late = proof(phone, "GET", SOCKET, nonce=nonce, iat=int(phone.clock.now()) + off)
                await socket.send(type="authenticate", proof=late)
                assert await socket.close_code() == (NOT_AUTHENTICATED, []), off
        assert stage.dump(mallory.user) == before


def _payload(token: str) -> bytes:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.security("S-63", "S-64")
async def test_whoever_has_not_authenticated_within_ten_seconds_is_sent_away(desk: Office) -> None:
    """The silent, the slow and the merely pinging are let in to the hello, and no further. Takes its ten seconds."""
    async with wire(desk) as silent, wire(desk) as slow, wire(desk) as pinging, asyncio.TaskGroup() as group:
        begun = asyncio.get_running_loop().time()
        ends = [group.create_task(each.close_code()) for each in (silent, slow, pinging)]
        group.create_task(_dribble(slow, ends[1]))
        group.create_task(_ping(pinging, ends[2]))
        await asyncio.wait(ends)
        assert [each.result() for each in ends] == [NOT_AUTHENTICATED] * 3
        assert asyncio.get_running_loop().time() - begun > 8, "a slow phone was not given its time"


async def _dribble(slow: Wire, until: asyncio.Task[int | None]) -> None:
    """A frame that promises a hundred bytes, and brings one now and then."""
    with contextlib.suppress(ConnectionError):
        slow.writer.write(bytes([FINAL | TEXT, 0x80 | 100]) + bytes(4))
        while not until.done():
            slow.writer.write(b"x")
            await asyncio.wait({until}, timeout=0.5)


async def _ping(pinging: Wire, until: asyncio.Task[int | None]) -> None:
    with contextlib.suppress(ConnectionError):
        while not until.done():
            await pinging.frame(PING, b"there?")
            await asyncio.wait({until}, timeout=0.5)


@pytest.mark.security("S-63", "S-03")
async def test_a_connected_device_speaks_for_itself_only(desk: Office) -> None:
    async with scene(desk) as stage, scene(desk) as mallory:
        sign_in, challenge = await stage.ask()
        before = stage.dump(mallory.user)
        async with ready_socket(mallory.browser.session, mallory.phone) as socket:
            await socket.send(type="received", challenge_id=challenge.id)
            refused: tuple[dict[str, object], ...] = (
                {"type": "authenticate", "proof": mallory.phone.api.proof("GET", SOCKET, nonce="x")},
                {"type": "subscribe", "device_id": stage.phone.device_id},
                {"type": "challenge", "challenge": {"id": challenge.id}},
                {"type": "outcome", "challenge_id": challenge.id, "outcome": "completed"},
                {"type": "withdrawn", "challenge_id": challenge.id, "reason": "cancelled"},
                {"type": "answer", "ref": "x" * 129, "answer": "x"},
                {"type": "answer", "ref": 1, "answer": "x"},
                {"type": "received"},
                {"type": "received", "challenge_id": 1},
                {},
            )
            for frame in refused:
                await socket.wire.send_json(frame)
                told = await socket.frame()
                assert (told["type"], told["code"]) == ("error", "invalid_request"), frame
            # Its own prompt shows that receipts are heard, and have been by then.
            own, asked = await mallory.ask()
            assert (await socket.until("challenge"))["challenge"]["id"] == asked.id
            await socket.send(type="received", challenge_id=asked.id)
            async with asyncio.timeout(PATIENCE):
                while (await own.changed())["challenge"]["delivery"] != "delivered":
                    pass
        assert (await sign_in.look())["challenge"]["delivery"] != "delivered"
        assert _acknowledged(desk, challenge.id) == 0
        assert _acknowledged(desk, asked.id) == 1
        assert stage.dump() == {table: [row for row in rows if _of(stage, row)] for table, rows in before.items()}


def _of(stage: Scene, row: tuple[object, ...]) -> bool:
    return stage.user.id in row


def _acknowledged(desk: Office, challenge_id: str) -> int:
    sql = "SELECT count(*) FROM deliveries WHERE challenge_id = ? AND acked_at IS NOT NULL"
    with closing(sqlite3.connect(f"file:{desk.core.settings.database_file}?mode=ro", uri=True)) as connection:
        found: int = connection.execute(sql, (challenge_id,)).fetchone()[0]
        return found


# --- S-64: how much ---------------------------------------------------------------------------------------------------


@pytest.mark.security("S-64")
async def test_a_frame_or_its_pieces_beyond_the_limit_end_the_socket_unread(desk: Office) -> None:
    async with scene(desk) as stage, scene(desk) as other:
        for size in (LARGEST_FRAME + 1, 5 * 1024 * 1024):
            async with ready_socket(stage.browser.session, stage.phone) as socket:
                with contextlib.suppress(ConnectionError):  # it may hang up in the middle
                    await socket.wire.send_str("x" * size)
                assert await socket.close_code() == (TOO_BIG, []), size
            async with raw_socket(stage.browser.session) as socket:
                await socket.frame()
                with contextlib.suppress(ConnectionError):
                    await socket.wire.send_str("x" * size)
                assert (await socket.close_code())[0] in {TOO_BIG, NOT_AUTHENTICATED}, size
        async with wire(desk) as announced:
            # The announcement is enough: nobody waits for what it announces.
            announced.writer.write(bytes([FINAL | TEXT, 0xFF]) + struct.pack(">Q", 5 * 1024 * 1024) + bytes(4) + b"x")
            assert await announced.close_code() == TOO_BIG
        async with wire(desk) as pieces:
            with contextlib.suppress(ConnectionError):
                await pieces.frame(TEXT, b"x" * 1000, flags=0)
                for _ in range(1000):
                    await pieces.frame(CONTINUATION, b"x" * 1000, flags=0)
            assert await pieces.close_code() in {TOO_BIG, NOT_AUTHENTICATED, None}
        async with ready_socket(stage.browser.session, stage.phone) as socket:
            await socket.wire.send_bytes(b"{}")
            assert (await socket.close_code())[0] == aiohttp.WSCloseCode.UNSUPPORTED_DATA
        await others_go_on(other)


@pytest.mark.security("S-64")
async def test_compression_is_neither_agreed_nor_accepted(desk: Office) -> None:
    async with scene(desk) as stage:
        async with stage.browser.session.ws_connect(SOCKET, compress=15) as offered:
            assert offered.compress == 0
        async with wire(desk, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits") as by_hand:
            assert "extensions" not in by_hand.head.lower()
            await by_hand.frame(TEXT, b"\xaa\x56\x2a\xa9", flags=FINAL | COMPRESSED)
            assert await by_hand.close_code() == aiohttp.WSCloseCode.PROTOCOL_ERROR


@pytest.mark.security("S-64")
@pytest.mark.parametrize("kind", ["messages", "pings"])
async def test_a_flood_ends_its_socket_and_leaves_the_others_alone(desk: Office, kind: str) -> None:
    async with scene(desk) as stage, scene(desk) as other:
        async with ready_socket(stage.browser.session, stage.phone) as socket:
            flood = asyncio.create_task(_flood(socket.wire, kind))
            await others_go_on(other)
            code, frames = await socket.close_code()
            await flood
            assert code == TOO_MANY_MESSAGES
            assert len(frames) < 1000
            assert {each["type"] for each in frames} <= {"error"}
        # Whoever comes back in good order is let in.
        async with ready_socket(stage.browser.session, stage.phone):
            pass


async def _flood(socket: aiohttp.ClientWebSocketResponse, kind: str) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(10_000):
            if kind == "pings":
                await socket.ping(b"x" * 100)
            else:
                await socket.send_str('{"type":"nothing"}')


@pytest.mark.security("S-64")
async def test_a_reader_that_never_reads_holds_up_nobody(desk: Office) -> None:
    async with scene(desk) as stage, scene(desk) as other, wire(desk) as deaf:
        first, second = await deaf.reader.readexactly(2)
        hello = await deaf.reader.readexactly(second & 0x7F)
        assert first == FINAL | TEXT
        nonce = hello.decode().partition('"nonce":"')[2].partition('"')[0]
        opening = f'{{"type":"authenticate","proof":"{stage.phone.api.proof("GET", SOCKET, nonce=nonce)}"}}'
        await deaf.frame(TEXT, opening.encode())
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sign_in, challenge = await stage.ask()
        for _ in range(250):  # within what is allowed, each with a reply that nobody reads
            await deaf.frame(TEXT, b'{"type":"answer","ref":"%b","answer":"x"}' % secrets.token_hex(60).encode())
        await others_go_on(other)
        assert await stage.phone.answer_by_http(challenge, Decision.VERIFY, sign_in.number) is Outcome.COMPLETED
        assert (await sign_in.outcome())["state"] == "approved"


@pytest.mark.security("S-64", "S-57")
async def test_of_many_sockets_of_one_device_the_newest_stays(desk: Office) -> None:
    async with scene(desk) as stage:
        async with contextlib.AsyncExitStack() as stack:
            opened = [
                await stack.enter_async_context(ready_socket(stage.browser.session, stage.phone)) for _ in range(30)
            ]
            ends = await asyncio.gather(*(each.close_code() for each in opened[:-1]))
            assert {code for code, _ in ends} == {REPLACED}
            sign_in, challenge = await stage.ask()
            assert (await opened[-1].until("challenge"))["challenge"]["id"] == challenge.id
            assert sign_in.body["challenge"]["id"] == challenge.id
        # The same, all at once: whichever came last.
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(raw_socket(stage.browser.session)) for _ in range(20)]
            await asyncio.gather(*(each.authenticate(stage.phone) for each in sockets))
            ended = [asyncio.create_task(each.close_code()) for each in sockets]
            async with asyncio.timeout(PATIENCE):
                while sum(each.done() for each in ended) < len(sockets) - 1:
                    await asyncio.wait([each for each in ended if not each.done()], return_when=asyncio.FIRST_COMPLETED)
            (stays,) = [n for n, each in enumerate(ended) if not each.done()]
            assert {each.result()[0] for each in ended if each.done()} == {REPLACED}
            ended[stays].cancel()
            await asyncio.wait({ended[stays]})


@pytest.mark.security("S-57")
async def test_the_socket_opened_last_stays_though_an_earlier_one_authenticates_after_it(desk: Office) -> None:
    async with (
        scene(desk) as stage,
        raw_socket(stage.browser.session) as earlier,
        raw_socket(stage.browser.session) as later,
    ):
        for each in (later, earlier):
            await each.authenticate(stage.phone)
            assert (await each.frame())["type"] == "ready"
        assert (await earlier.close_code())[0] == REPLACED
        _, challenge = await stage.ask()
        assert (await later.until("challenge"))["challenge"]["id"] == challenge.id
