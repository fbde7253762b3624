"""privacyIDEA's browser and phone (see `bench.exchange`), each request on a connection of its own as its server has it.

The browser begins with user and PIN, or an application begins for it with an administrator's session. It asks over and
over whether the transaction was answered, and then completes it. The phone asks once what it is asked, checks the
server's signature, and sends its own. Used by `bench.peer.comparison`.
"""

import asyncio
import base64
import contextlib
import random
import time
from collections.abc import Coroutine
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from bench.exchange import Begun, ExchangeError, Pair
from bench.peer.enrolment import REALM, Enrolled
from bench.peer.interface import CHALLENGES, COUNT, YES_OR_NO, Challenge, Detail, Peer

POLL = 0.5
"""Seconds between two polls of its own sign-in page (version 3.14: a timer of 500 ms)."""


def peer_pair(peer: Peer, person: Enrolled, *, session: str = "", poll: float | None = POLL) -> Pair:
    """A browser and a phone of one person.

    With a session the sign-in begins without the PIN. Without a pause between polls, the browser asks once only, at
    the instant at which the phone's answer was acknowledged: no browser can know that, and nothing would cost the
    server less.
    """
    answered = asyncio.Event()
    return Pair(PeerBrowser(peer, person, session, poll, answered), PeerPhone(peer, person, answered))


class PeerBrowser:
    """Begins, polls, completes."""

    def __init__(self, peer: Peer, person: Enrolled, session: str, poll: float | None, answered: asyncio.Event) -> None:
        self.polls = 0
        self.polled_at = 0.0
        self._peer = peer
        self._person = person
        self._session = session
        self._poll = poll
        self._answered = answered
        self._watching: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Nothing to do: every request connects."""

    async def begin(self, replacing: Begun | None = None) -> Begun:
        """Begin a sign-in. Raises `ExchangeError` if it is refused, or asked to replace another."""
        if replacing is not None:
            raise ExchangeError("the peer knows no sign-in that takes another's place")
        self._answered.clear()
        who = {"user": self._person.username, "realm": REALM}
        if self._session:
            begun = (await self._peer.post(COUNT, "/validate/triggerchallenge", who, self._session)).detail
        else:
            begun = (await self._peer.post(YES_OR_NO, "/validate/check", {**who, "pass": self._person.pin})).detail
        transaction = (begun or Detail()).transaction_id
        if not transaction:
            raise ExchangeError("begun, but the phone is not asked")
        return Begun(transaction, transaction)

    def watch(self, begun: Begun) -> asyncio.Future[None]:
        """Poll until the transaction is answered, and complete it; done when they are signed in."""
        self.polls = 0
        self._watching = _owned(self._until_told(begun))
        return self._watching

    def close(self) -> None:
        """Stop polling."""
        if self._watching is not None:
            self._watching.cancel()

    async def _until_told(self, begun: Begun) -> None:
        if self._poll is None:
            await self._answered.wait()
        else:  # people take their time: the polls and the answer are not in step
            await asyncio.sleep(_dice.uniform(0, self._poll))
        while not await self._ask(begun):
            if self._poll is None:
                raise ExchangeError("an acknowledged answer is not known to the server")
            await asyncio.sleep(self._poll)
        form = {"user": self._person.username, "realm": REALM, "pass": "", "transaction_id": begun.sign_in_id}
        if not (await self._peer.post(YES_OR_NO, "/validate/check", form)).result.value:
            raise ExchangeError("answered, but not signed in")

    async def _ask(self, begun: Begun) -> bool:
        self.polls += 1
        self.polled_at = time.perf_counter()
        query = {"transaction_id": begun.sign_in_id}
        return bool((await self._peer.get(YES_OR_NO, "/validate/polltransaction", query)).result.value)


class PeerPhone:
    """Asks what it is asked; signs."""

    def __init__(self, peer: Peer, person: Enrolled, answered: asyncio.Event) -> None:
        self.answered_at = 0.0
        self._peer = peer
        self._person = person
        self._answered = answered
        self._seen: set[str] = set()
        self._shown: Challenge | None = None
        self._working: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Nothing to do: every request connects."""

    def prompted(self, begun: Begun) -> asyncio.Future[None]:  # noqa: ARG002 - its challenges do not name their transaction
        """Ask once what this phone is asked."""
        return self._work(self._fetch())

    def answer(self, begun: Begun) -> asyncio.Future[None]:  # noqa: ARG002 - as above
        """Sign what was shown; done when the server takes it."""
        return self._work(self._confirm())

    def close(self) -> None:
        """Stop whatever is under way."""
        for each in self._working:
            each.cancel()

    def _work(self, step: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self._working = [each for each in self._working if not each.done()]
        task = _owned(step)
        self._working.append(task)
        return task

    async def _fetch(self) -> None:
        serial, now = self._person.serial, datetime.now(UTC).isoformat()
        query = {"serial": serial, "timestamp": now, "signature": self._signature(f"{serial}|{now}")}
        challenges = (await self._peer.get(CHALLENGES, "/ttype/push", query)).result.value or []
        new = [each for each in challenges if each.nonce not in self._seen]  # a failed one is shown until it expires
        if len(new) != 1:
            raise ExchangeError(f"the phone is shown {len(new)} new challenges")
        self._shown = new[0]
        self._seen = {each.nonce for each in challenges}
        check(self._person, self._shown)

    async def _confirm(self) -> None:
        if self._shown is None:
            raise ExchangeError("nothing is on the phone to be answered")
        serial, nonce = self._person.serial, self._shown.nonce
        form = {"serial": serial, "nonce": nonce, "signature": self._signature(f"{nonce}|{serial}")}
        self.answered_at = time.perf_counter()
        if not (await self._peer.post(YES_OR_NO, "/ttype/push", form)).result.value:
            raise ExchangeError("the answer was not taken")
        self._answered.set()

    def _signature(self, text: str) -> str:
        return base64.b32encode(self._person.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def check(person: Enrolled, challenge: Challenge) -> None:
    """Whether the server signed what it asks. Raises `ExchangeError` if it did not."""
    signature = base64.b32decode(challenge.signature)
    try:
        person.server_key.verify(signature, challenge.signed_text(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise ExchangeError("a challenge that the server did not sign") from error


def _owned(step: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """A task whose failure the flow may not come to look at, because another step has failed before."""
    task = asyncio.get_running_loop().create_task(step)

    def look(done: asyncio.Task[None]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            done.exception()

    task.add_done_callback(look)
    return task


_dice = random.Random(1)  # noqa: S311 - when browsers poll, not what nobody must guess
