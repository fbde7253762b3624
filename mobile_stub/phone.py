"""A phone, as a pleasant asyncio library.

::

    async with Phone.activate("https://mfa.example/activate#code=…") as phone:
        challenge = await phone.next_challenge()
        outcome = await phone.verify(challenge, number="42")

Speaks the published device protocol with its own key and its own WebSocket implementation. The parts are small and
public for tests that want to misbehave: `keys.py` and `proofs.py` make what is signed, `forgeries.py` signs falsely,
`api.py` sends any request with any authorization, `line.py` keeps the socket up.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mobile_stub import activation, state
from mobile_stub.api import SOCKET, DeviceApi
from mobile_stub.contexts import ContextChecker
from mobile_stub.errors import LineClosedError
from mobile_stub.inbox import Inbox
from mobile_stub.keys import digest
from mobile_stub.line import Line, LineState
from mobile_stub.prompts import Prompts
from mobile_stub.proofs import AnswerClaims, Decision, sign_answer
from mobile_stub.state import ActivationUri, Identity
from mobile_stub.surroundings import ORDINARY, Reach, Setup, new_session
from mobile_stub.totp import totp
from mobile_stub.wire import Challenge, ChallengeList, DeviceChange, DeviceView, Outcome, Reply, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from types import TracebackType
    from typing import Self

    from mobile_stub.clock import PhoneClock


class Opening:
    """A phone about to open: await it and close the phone yourself, or use it with `async with`."""

    def __init__(self, open_phone: Callable[[], Awaitable[Phone]]) -> None:
        self._open_phone = open_phone
        self._phone: Phone | None = None

    def __await__(self) -> Generator[object, None, Phone]:
        return self._open_phone().__await__()

    async def __aenter__(self) -> Phone:
        self._phone = await self._open_phone()
        return self._phone

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._phone is not None:
            await self._phone.aclose()


class Phone:
    """An activated phone. Made by `activate` or `load`; `identity` is what it keeps, `clock` its idea of the time."""

    def __init__(
        self,
        identity: Identity,
        *,
        clock_skew: float = 0.0,
        clock: PhoneClock | None = None,
        setup: Setup = ORDINARY,
    ) -> None:
        self.identity = identity
        self.key = identity.key()
        self.clock = clock or setup.clock(skew=clock_skew)
        self._setup = setup
        self._session = setup.session or new_session(setup)
        self.api = DeviceApi(self._session, self.key, self.clock, issuer=identity.issuer, address=identity.address)
        self.api.device_id = identity.device_id
        self._checker = ContextChecker(identity.issuer, identity.jwks, self.api)
        self.prompts = Prompts(self.api, self.clock, self._checker)
        self._line: Line | None = None
        self._running: asyncio.Task[LineClosedError] | None = None
        self.wakes: Inbox[Mapping[str, str]] = Inbox()
        if setup.firebase is not None and identity.push_token is not None:
            setup.firebase.attach(identity.push_token, self.woken)

    # --- opening and closing ------------------------------------------------------------------------------------------

    @classmethod
    def activate(
        cls,
        uri: str,
        name: str = "Stub phone",
        platform: str = "stub",
        *,
        clock_skew: float = 0.0,
        setup: Setup = ORDINARY,
    ) -> Opening:
        """Activate a new phone with ``PUBLIC_URL/activate#code=CODE`` and open it.

        `clock_skew` (seconds, positive is fast) sets its clock wrong. Raises ActivationUriError, RefusedError for a bad
        code, UnreachableError when several tries got no answer.
        """

        async def open_phone() -> Phone:
            target = ActivationUri.parse(uri)
            clock = setup.clock(skew=clock_skew)
            identity = await activation.activate(target, name, platform, clock, setup)
            return await cls(identity, clock=clock, setup=setup).open()

        return Opening(open_phone)

    @classmethod
    def load(cls, path: str | Path, *, clock_skew: float = 0.0, setup: Setup = ORDINARY) -> Opening:
        """Open a phone that was saved; OSError or msgspec.DecodeError when the file isn't one."""

        async def open_phone() -> Phone:
            return await cls(state.read(Path(path)), clock_skew=clock_skew, setup=setup).open()

        return Opening(open_phone)

    def save(self, path: str | Path) -> None:
        """Write everything the phone needs to `path`, its key included, readable by the owner only."""
        state.write(msgspec.structs.replace(self.identity, jwks=self._checker.jwks), Path(path))

    async def open(self) -> Phone:
        """Connect, unless this phone polls; it is closed again if that fails."""
        try:
            if self._setup.reach is Reach.SOCKET:
                await self.connect()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def connect(self) -> None:
        """Open the line and wait until it is ready, however often it takes.

        LineClosedError if the service won't have it.
        """
        self.start()
        ready = asyncio.ensure_future(self.prompts.connected.wait())
        try:
            await asyncio.wait({ready, self._line_task()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._line_task().done():
            raise await self._line_task()

    def start(self) -> None:
        """Open the line without waiting for it; nothing happens if it is open already."""
        if self._running is not None and not self._running.done():
            return
        url = f"ws{self.identity.address.removeprefix('http')}{SOCKET}"
        self._line = Line(
            url,
            lambda nonce: self.api.proof("GET", SOCKET, nonce=nonce),
            self.prompts,
            backoff=self._setup.backoff(),
            tls=self._setup.tls,
        )
        self.prompts.resume()
        self._running = asyncio.create_task(self._run(self._line), name=f"line of {self.device_id}")

    async def disconnect(self) -> None:
        """Close the line, as in flight mode; `connect` opens it again."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.wait({self._running})
        if not self._running.cancelled():
            self._running.result()

    def drop(self) -> None:
        """Cut the present socket without a word; the line comes back by itself."""
        if self._line is not None:
            self._line.drop()

    async def aclose(self) -> None:
        """Switch the phone off."""
        try:
            await self.disconnect()
        finally:
            if self._setup.session is None:
                await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, line: Line) -> LineClosedError:
        """Run the line; why it was closed for good, when it was."""
        try:
            await line.run()
        except LineClosedError as closed:
            self.prompts.end(closed)
            return closed
        except asyncio.CancelledError:
            self.prompts.end(LineClosedError("the phone is switched off"))
            raise
        except Exception as error:
            self.prompts.end(error)
            raise

    def _line_task(self) -> asyncio.Task[LineClosedError]:
        if self._running is None:
            message = "the phone has no line: call connect first"
            raise LineClosedError(message)
        return self._running

    # --- who it is ----------------------------------------------------------------------------------------------------

    @property
    def device_id(self) -> str:
        """The id the service gave it."""
        return self.identity.device_id

    @property
    def username(self) -> str | None:
        """Whose phone it is, as far as the service said."""
        return self.identity.user.username or self.identity.user.id

    @property
    def line_state(self) -> LineState:
        """Whether the line is up."""
        return LineState.CLOSED if self._line is None else self._line.state

    def code(self, at: float | None = None) -> str:
        """The one-time code of now, or of `at` (seconds since 1970)."""
        return totp(self.identity.totp, self.clock.now() if at is None else at)

    # --- being asked --------------------------------------------------------------------------------------------------

    async def next_challenge(self) -> Challenge:
        """The oldest challenge not returned yet, and still asked.

        Waits for one. Raises UntrustedPromptError in place of one whose signed context is wrong, and LineClosedError
        once nothing can come any more.
        """
        return await self.prompts.next()

    async def next_withdrawal(self) -> Withdrawn:
        """The next challenge that the service took back, read or not.

        LineClosedError once nothing can come any more.
        """
        return await self.prompts.withdrawn.get()

    async def woken(self, data: Mapping[str, str]) -> None:
        """A push message came: connect, or ask, and show what is pending. With a socket open it says nothing new.

        `wakes` keeps what came, for whoever wants to know.
        """
        if self._setup.reach is Reach.SOCKET:
            self.start()
        self.wakes.put(data)
        if self._setup.reach is Reach.POLL and self.line_state is LineState.CLOSED:
            for challenge in (await self.api.challenges()).challenges:
                await self.prompts.on_challenge(challenge)

    async def poll(self, wait: float | None = None, after: int | None = None) -> ChallengeList:
        """Ask over HTTP what is pending: at once, or within `wait` seconds (0 to 60) if it differs from `after`."""
        listed = await self.api.challenges(wait, after)
        for challenge in listed.challenges:
            await self._checker.check(challenge)
        return listed

    # --- answering ----------------------------------------------------------------------------------------------------

    async def verify(self, challenge: Challenge, number: str | None = None) -> Outcome:
        """Yes, it's me, and the browser shows this number (text of as many digits as the challenge names)."""
        return await self.answer(challenge, Decision.VERIFY, number)

    async def deny(self, challenge: Challenge) -> Outcome:
        """No."""
        return await self.answer(challenge, Decision.DENY)

    async def report_fraud(self, challenge: Challenge) -> Outcome:
        """This wasn't me. A report after the outcome is TOO_LATE, though taken down: `send` shows `reported`."""
        return await self.answer(challenge, Decision.REPORT_FRAUD)

    async def answer(self, challenge: Challenge, decision: Decision, number: str | None = None) -> Outcome:
        """Sign and send a decision over the socket; RefusedError when the service finds the answer invalid."""
        return (await self.send(challenge.id, self.sign(challenge, decision, number))).outcome

    async def answer_by_http(self, challenge: Challenge, decision: Decision, number: str | None = None) -> Outcome:
        """Sign and send a decision over HTTP; RefusedError when the service finds the answer invalid."""
        return (await self.send_by_http(challenge.id, self.sign(challenge, decision, number))).outcome

    def claims(self, challenge: Challenge, decision: Decision, number: str | None = None) -> AnswerClaims:
        """What an honest answer says, unsigned."""
        return AnswerClaims(
            challenge_id=challenge.id,
            nonce=challenge.nonce,
            decision=decision.value,
            ctx=digest(challenge.context),
            iat=int(self.clock.now()),
            number=number,
        )

    def sign(self, challenge: Challenge, decision: Decision, number: str | None = None) -> str:
        """The honest answer, signed."""
        return sign_answer(self.claims(challenge, decision, number), self.key, self.device_id)

    async def send(self, challenge_id: str, answer: str) -> Reply:
        """Send a signed answer, true or forged, over the socket; again after a break, until there is a reply."""
        if self._line is None:
            message = "the phone has no line: call connect first, or answer by HTTP"
            raise LineClosedError(message)
        self.prompts.answering.add(challenge_id)
        try:
            reply = await self._line.ask(answer)
        finally:
            self.prompts.answering.discard(challenge_id)
        self.prompts.settled(challenge_id)
        return reply

    async def send_by_http(self, challenge_id: str, answer: str) -> Reply:
        """Send a signed answer, true or forged, over HTTP, once."""
        reply = await self.api.answer(challenge_id, answer)
        self.prompts.settled(challenge_id)
        return reply

    # --- looking after itself -----------------------------------------------------------------------------------------

    async def device(self) -> DeviceView:
        """What the service knows about this phone."""
        return await self.api.device()

    async def rename(self, name: str) -> DeviceView:
        """Give it another name."""
        view = await self.api.change(DeviceChange(name=name))
        self.identity = msgspec.structs.replace(self.identity, name=name)
        return view

    async def refresh_push_token(self) -> str:
        """Get another push token from its Firebase, as apps do now and then, and tell the service."""
        firebase, old = self._setup.firebase, self.identity.push_token
        if firebase is None:
            message = "this phone has no Firebase"
            raise LookupError(message)
        token = firebase.new_token()
        firebase.attach(token, self.woken)
        await self.api.change(DeviceChange(push_token=token))
        self.identity = msgspec.structs.replace(self.identity, push_token=token)
        if old is not None:
            firebase.retire(old)
        return token

    async def remove(self) -> None:
        """Take it off the account and hang up; RefusedError `last_method` where that isn't allowed."""
        await self.api.remove()
        await self.disconnect()
