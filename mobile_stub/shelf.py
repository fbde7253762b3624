"""The phones that lie on the world's shelf, each switched on, and what their screens show.

A held phone is a `Phone` with a memory of its prompts: answered, taken back and expired ones stay on the screen until
someone closes them. Every change rings `changes`, which the live page waits for. Used by `phone_routes.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from mobile_stub.changes import Changes
from mobile_stub.errors import LineClosedError, LineReplacedError, PhoneError, UnknownDeviceError, UntrustedPromptError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import ORDINARY, Reach, Setup
from mobile_stub.views import PhoneView, PromptState, PromptView, WorldView
from mobile_stub.wire import Challenge, WithdrawalReason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

Come = TypeVar("Come")

REMEMBERED_PROMPTS = 20
SAVED = ".phone.json"


class NoSuchPhone(PhoneError):
    """The shelf has no phone of this id."""


class NoSuchPrompt(PhoneError):
    """The phone shows no prompt of this id that can be answered."""


@dataclass(slots=True)
class HeldPhone:
    """One phone and its screen; `run` keeps the screen true."""

    phone: Phone
    changed: Callable[[], None]
    challenges: dict[str, Challenge] = field(default_factory=dict)
    screen: dict[str, PromptView] = field(default_factory=dict)
    trouble: str | None = None
    asleep: bool = False
    _opened: asyncio.Event = field(default_factory=asyncio.Event)

    def view(self) -> PhoneView:
        """What anyone may see of it."""
        return PhoneView(
            id=self.phone.device_id,
            name=self.phone.identity.name,
            platform=self.phone.identity.platform,
            username=self.phone.username,
            service=self.phone.identity.issuer,
            line=self.phone.line_state,
            pushed=self.phone.identity.push_token is not None,
            asleep=self.asleep,
            trouble=self.trouble,
            prompts=tuple(self.screen.values()),
        )

    async def run(self) -> None:
        """Show what comes, until the line is closed for good."""
        self.phone.prompts.state_changed = lambda _: self.changed()
        self.phone.start()
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._show(parts))
            parts.create_task(self._take_back())

    async def close_app(self) -> None:
        """Close the app: the phone hears nothing more until the app is opened, by a hand or by a push message."""
        self.asleep = True
        self._opened.clear()
        await self.phone.disconnect()
        self.changed()

    def open_app(self) -> None:
        """Open the app, if it is closed."""
        if self.asleep:
            self.asleep = False
            self.phone.start()
            self._opened.set()
            self.changed()

    async def woken(self, _: Mapping[str, str]) -> None:
        """A push message came."""
        self.open_app()

    async def answer(self, prompt_id: str, decision: Decision, number: str | None) -> PromptView:
        """Answer a prompt that waits; NoSuchPrompt if there is none, RefusedError if the service won't have it."""
        challenge = self.challenges.get(prompt_id)
        if challenge is None or self.screen[prompt_id].state is not PromptState.WAITING:
            raise NoSuchPrompt("this sign-in isn't asked any more")
        reply = await self.phone.send(challenge.id, self.phone.sign(challenge, decision, number))
        self._set(prompt_id, state=PromptState.of(reply.outcome), reported=reply.reported)
        return self.screen[prompt_id]

    def dismiss(self, prompt_id: str) -> None:
        """Close a prompt on the screen; the service isn't told."""
        self.screen.pop(prompt_id, None)
        self.challenges.pop(prompt_id, None)
        self.changed()

    async def _show(self, timers: asyncio.TaskGroup) -> None:
        while True:
            try:
                challenge = await self._next(self.phone.next_challenge)
            except UntrustedPromptError as error:
                self.trouble = f"A prompt was not shown: {error.why}."
            except LineClosedError as error:
                self.trouble = _sentence(error)
                self.changed()
                return
            else:
                self.challenges[challenge.id] = challenge
                self.screen[challenge.id] = PromptView.of(challenge)
                for oldest in list(self.screen)[:-REMEMBERED_PROMPTS]:
                    self.dismiss(oldest)
                timers.create_task(self._expire(challenge))
            self.changed()

    async def _take_back(self) -> None:
        with suppress(LineClosedError):
            while True:
                withdrawn = await self._next(self.phone.next_withdrawal)
                expired = withdrawn.reason is WithdrawalReason.EXPIRED
                state = PromptState.EXPIRED if expired else PromptState.WITHDRAWN
                self._end(withdrawn.challenge_id, state, withdrawn.reason)

    async def _next(self, come: Callable[[], Awaitable[Come]]) -> Come:
        """What comes next, if need be after the app was closed and opened again."""
        while True:
            try:
                return await come()
            except LineClosedError:
                if not self.asleep:
                    raise
                await self._opened.wait()

    async def _expire(self, challenge: Challenge) -> None:
        await asyncio.sleep(challenge.expires_at.timestamp() - self.phone.clock.now())
        self._end(challenge.id, PromptState.EXPIRED, None)

    def _end(self, prompt_id: str, state: PromptState, reason: WithdrawalReason | None) -> None:
        shown = self.screen.get(prompt_id)
        if shown is not None and shown.state is PromptState.WAITING:
            self._set(prompt_id, state=state, reason=reason)

    def _set(
        self, prompt_id: str, *, state: PromptState, reason: WithdrawalReason | None = None, reported: bool = False
    ) -> None:
        shown = self.screen.get(prompt_id)
        if shown is not None:
            self.screen[prompt_id] = msgspec.structs.replace(shown, state=state, reason=reason, reported=reported)
            self.changed()


class Shelf:
    """All phones of the world. With a `folder` they are kept there and are back after a restart."""

    def __init__(self, folder: Path | None = None, setup: Setup = ORDINARY) -> None:
        self.changes = Changes()
        self._folder = folder
        # The shelf opens each line itself, after it has begun to listen, and never waits for a service that is down.
        self._setup = dataclasses.replace(setup, reach=Reach.POLL)
        self._held: dict[str, HeldPhone] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def view(self) -> WorldView:
        """All screens."""
        return WorldView(now=datetime.now(UTC), phones=tuple(held.view() for held in self._held.values()))

    def phone(self, phone_id: str) -> HeldPhone:
        """One phone; NoSuchPhone if it isn't here."""
        try:
            return self._held[phone_id]
        except KeyError:
            raise NoSuchPhone("there is no such phone here") from None

    async def open(self) -> None:
        """Switch on the phones of the folder."""
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(self._folder.glob(f"*{SAVED}")):
            self._hold(await Phone.load(file, setup=self._setup))

    async def activate(self, uri: str, name: str, platform: str) -> HeldPhone:
        """Activate a new phone; the errors of `Phone.activate`."""
        phone = await Phone.activate(uri, name, platform, setup=self._setup)
        if self._folder is not None:
            phone.save(_file(self._folder, phone.device_id))
        return self._hold(phone)

    async def remove(self, phone_id: str) -> None:
        """Take a phone off its account and off the shelf; RefusedError if the service keeps it (`last_method`)."""
        held = self.phone(phone_id)
        with suppress(UnknownDeviceError):
            await held.phone.remove()
        await self._put_away(phone_id)
        if self._folder is not None:
            _file(self._folder, phone_id).unlink(missing_ok=True)

    async def close(self) -> None:
        """Switch everything off."""
        for phone_id in list(self._held):
            await self._put_away(phone_id)

    def _hold(self, phone: Phone) -> HeldPhone:
        held = HeldPhone(phone, self.changes.ring)
        token = phone.identity.push_token
        if self._setup.firebase is not None and token is not None:
            self._setup.firebase.attach(token, held.woken)
        self._held[phone.device_id] = held
        self._running[phone.device_id] = asyncio.create_task(held.run(), name=f"screen of {phone.device_id}")
        self.changes.ring()
        return held

    async def _put_away(self, phone_id: str) -> None:
        held, running = self._held.pop(phone_id), self._running.pop(phone_id)
        running.cancel()
        await asyncio.wait({running})
        await held.phone.aclose()
        self.changes.ring()
        if not running.cancelled():
            running.result()


def _file(folder: Path, phone_id: str) -> Path:
    # The id comes from the service: named by its hash, it can't lead out of the folder.
    return folder / f"{hashlib.sha256(phone_id.encode()).hexdigest()[:32]}{SAVED}"


def _sentence(error: LineClosedError) -> str:
    if isinstance(error, LineReplacedError):
        return "Another copy of this phone is connected; this one has stopped."
    return "The service doesn't know this phone any more. Activate it again."
