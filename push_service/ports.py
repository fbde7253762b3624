"""What the core needs from outside, as interfaces whose docstrings are the contract.

`tests/contracts/` runs the same stories over every implementation. The store is the truth, the bus is a bell.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from push_service.model.app_password import AppPassword
from push_service.model.application import Application
from push_service.model.challenge import Delivery
from push_service.model.decision import Audit, Decision, Remembered, Rule
from push_service.model.device import Device, UsedActivation
from push_service.model.ids import (
    ApplicationId,
    AppPasswordId,
    ChallengeId,
    ConnectionId,
    DeviceId,
    MessageId,
    MethodId,
    SignInId,
    UserId,
)
from push_service.model.instant import Instant
from push_service.model.message import KnownMessage, Message, Outgoing, Sent, TakenOver
from push_service.model.outbox import Attempt, Undelivered
from push_service.model.throttle import Charge
from push_service.model.user import Pending, Snapshot, User, UserState
from push_service.model.view import Seen

R = TypeVar("R")


class Topic(NamedTuple):
    """What a bell is rung about: a subject and, mostly, an id."""

    subject: str
    id: str = ""

    @classmethod
    def sign_in(cls, sign_in_id: SignInId) -> Topic:
        """The browser's view of this sign-in changed."""
        return cls("sign_in", sign_in_id)

    @classmethod
    def user(cls, user_id: UserId) -> Topic:
        """What this person's devices are asked, or the devices themselves, changed."""
        return cls("user", user_id)

    @classmethod
    def device(cls, device_id: DeviceId) -> Topic:
        """This device opened another socket, maybe at another process."""
        return cls("device", device_id)


APPLICATIONS = Topic("applications")
SIGNING_KEYS = Topic("signing_keys")
OUTBOX = Topic("outbox")
"""Somebody has just looked through the outbox of prompts, and left nothing that is due."""


class Committed(NamedTuple):
    """A decision that is durable: its audit records, which bells are to be rung now, and which prompts it put."""

    topics: tuple[Topic, ...]
    audit: tuple[Audit, ...]
    deliveries: tuple[Delivery, ...] = ()
    messages: tuple[Message, ...] = ()


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key of the service. `pem` is the private key; sealed in the store."""

    kid: str
    pem: str
    created_at: Instant
    retired_at: Instant | None = None
    """When a newer one took over signing; it still verifies until its tokens are over."""


class Listener(Protocol):
    """Hears one topic."""

    async def heard(self, seconds: float) -> float:
        """Wait until the bell rings, at most that long; says how many seconds it took.

        A ring since the last call counts.
        """
        ...


class Bell(Protocol):
    """Is called, on the event loop, whenever a topic rings; must return at once."""

    def __call__(self) -> None:
        """Look again."""
        ...


class Bus(Protocol):
    """Tells whoever listens that something changed.

    It carries topics, never state. A ring may be lost, doubled, late, or about nothing. After a connection was lost
    and came back, every local listener is rung.
    """

    def listen(self, topic: Topic) -> AbstractAsyncContextManager[Listener]:
        """Subscribe; live when entered, gone when left. What rings in between is heard."""
        ...

    def attach(self, topic: Topic, bell: Bell) -> AbstractAsyncContextManager[None]:
        """Call `bell` at every ring while entered: for sockets, which have no task of their own to wait in."""
        ...

    async def ring(self, topics: Sequence[Topic]) -> None:
        """Tell every process. Never raises for a bus that is away: the waiters' floor makes good for it."""
        ...

    def ring_all(self) -> None:
        """Have every listener of this process look again: after a connection came back, and before the process ends."""
        ...

    def listeners(self, topic: Topic) -> int:
        """How many listen to the topic in this process."""
        ...

    async def heard_by(self, topic: Topic) -> int:
        """How many processes listen to the topic, this one included, as far as can be told within 0.2 s: a hint.

        What can't be told counts as nobody; listeners of this process are always told.
        """
        ...

    @property
    def trouble(self) -> str | None:
        """What is wrong with the bell now, in a few words; None when all is well. Never holds a password."""
        ...

    @property
    def listening(self) -> int:
        """How many listen in this process, to anything."""
        ...

    @property
    def reconnects(self) -> int:
        """How often a connection came back so far."""
        ...

    @property
    def rings_dropped(self) -> int:
        """How many rings were not sent to other processes so far, because too many waited for a connection."""
        ...


class MessageStore(Protocol):
    """The store's part for texts and calls: an outbox that sends each of them at most once.

    Raises as Store does.
    """

    async def claim_message(self, message_id: MessageId, lease_until: Instant, seconds: float) -> Outgoing | None:
        """Mark a message as begun, and say what to send: from now on nobody else ever sends it.

        The lease that ends at `lease_until` ends in so many seconds now. None where there is nothing to send, and then
        nothing is written: begun before, another's by now, over, or its challenge or method is gone.
        """
        ...

    async def take_due_messages(self, limit: int, seconds: float) -> TakenOver:
        """Take over at most so many messages whose lease has run out.

        Those that nobody has begun are marked and handed out as by `claim_message`; those that were begun, and of which
        nobody said what became of them, are UNKNOWN from now on.
        """
        ...

    async def release_message(self, message_id: MessageId, lease_until: Instant) -> None:
        """Give back the lease of a message that was not begun."""
        ...

    async def sent(self, message_id: MessageId, what: Sent) -> SignInId | None:
        """Write down what became of a message; the reply names the sign-in whose browser can see that.

        A state only ever moves on (`DeliveryState`), and DELIVERED is final; the provider's id, once known, stays.
        """
        ...

    async def known_message(self, message_id: MessageId) -> KnownMessage | None:
        """A message, sent or not."""
        ...

    async def method_secret(self, method_id: MethodId) -> str | None:
        """A method's number or secret, or an enrolment's; None where it has none, or is gone."""
        ...


class AppPasswordStore(Protocol):
    """The store's part for the list of app passwords. Raises as Store does."""

    async def app_passwords(self, user_id: UserId) -> list[AppPassword]:
        """A person's app passwords, oldest first."""
        ...

    async def app_password_used(self, used: AppPasswordId, at: Instant, source: str | None) -> None:
        """Note a use. An earlier one than is noted counts for nothing."""
        ...


class Store(MessageStore, AppPasswordStore, Protocol):
    """Keeps everything, and decides everything by compare-and-swap of the user's version.

    Every method raises StoreUnavailable when the store can't be reached, full or locked: nothing was changed then, or
    it is told by asking again. Instants are the store's own clock.
    """

    async def now(self) -> Instant:
        """The store's clock: the only one that decides."""
        ...

    async def decide(
        self, user_id: UserId, rule: Rule[R], charges: Sequence[Charge] = ()
    ) -> tuple[Decision[R], Committed]:
        """Run the rule on the user's snapshot and commit what it decides, durably, in one transaction.

        The rule may run more than once; decisions of different users share commits and never fail together. `charges`
        are spent in the same transaction; one that would go over raises TooManyRequests and nothing is written. A
        decision that refuses is committed like any other and returned. Raises UnknownUser, what the rule raises, and
        Duplicate where a unique value is taken: nothing is written then.
        """
        ...

    async def debit(self, charges: Sequence[Charge]) -> None:
        """Spend all of the charges or none; TooManyRequests with `retry_after` when one would go over."""
        ...

    async def record(self, audit: Sequence[Audit]) -> None:
        """Append audit records that belong to no change, such as a refusal before any user was found."""
        ...

    async def add_user(self, user: User, audit: Audit) -> None:
        """Insert a user. Raises NameTaken."""
        ...

    async def user_by_name(self, name_key: str) -> User | None:
        """The user of that key."""
        ...

    async def user(self, user_id: UserId) -> User | None:
        """The user of that id."""
        ...

    async def users(self, after_name_key: str = "", limit: int = 500, state: UserState | None = None) -> list[User]:
        """Users by name key, a page at a time."""
        ...

    async def watch(self, sign_in_id: SignInId) -> Seen | None:
        """A sign-in as its browser sees it, over or not. One read, one moment.

        Read with `now` taken before: what is still live here, past its deadline by then, has expired for good. A
        decision that was made in time but is not committed yet is waited for, here and in `challenge` and `asked`.
        """
        ...

    async def challenge(self, challenge_id: ChallengeId) -> Pending | None:
        """A challenge, over or not, with its sign-in."""
        ...

    async def asked(self, user_id: UserId) -> Snapshot | None:
        """The user with their live sign-ins (deadlines not yet looked at), as of one moment."""
        ...

    async def acknowledge(self, received: Sequence[tuple[ChallengeId, DeviceId]]) -> list[SignInId]:
        """Note that devices have shown these prompts; the reply names the sign-ins whose browsers can see that.

        What has ended is not changed any more: whoever asks again is told the same.
        """
        ...

    async def claim(self, challenge_id: ChallengeId, lease_until: Instant, seconds: float) -> list[Undelivered]:
        """Renew a lease, to end in so many seconds, and say what is to be sent under it now.

        Of the prompt's rows those whose lease ends at `lease_until`, so that nobody else has taken them; that are
        queued and not acknowledged; while the challenge is pending, its sign-in within its time and the device not
        removed. Nothing is written where that leaves none. Asked again right before sending: a challenge that ended
        meanwhile is not sent for.
        """
        ...

    async def take_due(self, limit: int, seconds: float) -> list[Undelivered]:
        """Take over at most so many rows whose lease has run out and whose time has come, longest waiting first.

        The same rows as for `claim`, whoever held them; each goes to one caller only, leased for so many seconds.
        """
        ...

    async def attempted(self, attempts: Sequence[Attempt]) -> list[SignInId]:
        """Write down attempts; the reply names the sign-ins whose browsers can see that.

        What was acknowledged meanwhile stays so, and so does what was sent or given up. SENT and FAILED count whoever
        has the lease by now; QUEUED only for the one that still has it: due in `retry_seconds`, its lease longer by as
        much.
        """
        ...

    async def release(self, challenge_id: ChallengeId, lease_until: Instant) -> None:
        """Give a lease back, for whoever comes next, by ending it now. Another's lease is left alone."""
        ...

    async def retire_push_token(self, device_id: DeviceId, token: str, audit: Audit) -> bool:
        """Forget a device's push token, with this record, if it is still that one; says whether it was."""
        ...

    async def sweep_push_tokens(self, before: Instant) -> int:
        """Forget push tokens that no device has confirmed since then, with a record for each; says how many went.

        At most a few hundred at a time. A token of which nobody knows when it was confirmed counts from now.
        """
        ...

    async def device(self, device_id: DeviceId) -> Device | None:
        """A device, removed or not."""
        ...

    async def devices(self, user_id: UserId) -> list[Device]:
        """A user's devices that are not removed, oldest first."""
        ...

    async def activation(self, code_hash: str) -> UsedActivation | None:
        """An activation code that was issued and is not yet swept away."""
        ...

    async def spend_proof(self, device_id: DeviceId, jti_hash: str, until: Instant) -> bool:
        """Remember a proof's id; False if it was seen before. Durable: a restart forgets none before `until`."""
        ...

    async def connected(self, device_id: DeviceId, connection_id: ConnectionId, since: Instant) -> None:
        """Note that this socket, accepted at that instant, is the device's newest, unless a later one is noted.

        An instant that lies ahead, because the clock was set back, counts for nothing.
        """
        ...

    async def newest_connection(self, device_id: DeviceId) -> ConnectionId | None:
        """The device's newest socket, whether it still stands or not."""
        ...

    async def remembered(self, caller: str, route: str, key_hash: str) -> Remembered | None:
        """The answer kept for an Idempotency-Key, if its time is not over."""
        ...

    async def applications(self) -> list[Application]:
        """All applications, removed ones included."""
        ...

    async def put_application(self, application: Application, audit: Audit) -> None:
        """Insert or replace."""
        ...

    async def application(self, application_id: ApplicationId) -> Application | None:
        """One application, removed or not."""
        ...

    async def signing_keys(self) -> list[StoredKey]:
        """All keys, newest first."""
        ...

    async def put_signing_keys(self, keys: Sequence[StoredKey], audit: Audit) -> None:
        """Insert or replace."""
        ...

    async def overdue(self, limit: int) -> list[UserId]:
        """Users who have live sign-ins past their deadline."""
        ...

    async def sweep(self) -> int:
        """Delete what is over and no longer readable; says how many rows went. May run twice at once, or never."""
        ...

    async def check(self) -> None:
        """Return if the store can be read and written; raise StoreUnavailable, saying why not."""
        ...


class Duplicate(Exception):
    """A value that must be unique is taken: `column` says which."""

    def __init__(self, column: str) -> None:
        """Name the column."""
        super().__init__(column)
        self.column = column


class Wake(msgspec.Struct, frozen=True, kw_only=True):
    """A push message that makes a phone's app look at what is asked. It says nothing about anyone."""

    token: str
    """The phone's push token."""
    platform: str
    id: str
    """Opaque: it can't be guessed, nor linked to a person, a phone or another wake."""
    expires_at: Instant
    seconds: float
    """How long it is still of use; nobody tries longer."""


class WakeOutcome(StrEnum):
    """What became of a wake."""

    SENT = "sent"
    """The push network took it. Whether it reaches the phone, only the phone's receipt says."""
    DEAD_TOKEN = "dead_token"  # noqa: S105 - a word
    """This token leads to no phone of ours (any more)."""
    RETRY = "retry"
    """Not now: once more, no sooner than asked for."""
    REFUSED = "refused"
    """It would be refused again: something is wrong with the settings or with this program."""
    UNAVAILABLE = "unavailable"
    """No answer in time, or none was waited for because there were none lately."""


class WakeReport(NamedTuple):
    """What became of a wake, in the push network's own word (`code`, lower case), and when to come again in seconds."""

    outcome: WakeOutcome
    code: str
    retry_after: float | None = None


class Messenger(Protocol):
    """Speaks to a push network."""

    async def wake(self, wake: Wake) -> WakeReport:
        """Hand one wake over. Takes a few seconds at most, and never raises for what a network or a provider does."""
        ...


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A text message."""

    id: MessageId
    """By it the provider's later words about the text are told apart."""
    to: str
    """E.164."""
    body: str
    seconds: float
    """How long it is still of use; nobody tries longer."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call that asks to press a key; what it says is asked for by its id when it is answered."""

    id: MessageId
    to: str
    """E.164."""
    extension: str | None
    """Digits to dial once the line is open."""
    seconds: float


class SendOutcome(StrEnum):
    """What became of handing a text or call over."""

    SENT = "sent"
    DEAD_NUMBER = "dead_number"
    """The number can't be reached, and will not be."""
    REFUSED = "refused"
    """It would be refused again: something is wrong with the settings, the account or the country."""
    TEMPORARY = "temporary"
    """Surely not sent; later it may be."""
    QUOTA = "quota"
    """The provider's limit, or ours, is reached."""
    UNKNOWN = "unknown"
    """No answer in time: it may have been sent."""


class SendReport(NamedTuple):
    """What became of it, the provider's own word for that (`code`), and the provider's id of the text or call."""

    outcome: SendOutcome
    code: str
    provider_id: str | None = None


class Telephony(Protocol):
    """Speaks to a telephony provider."""

    async def text(self, text: Text) -> SendReport:
        """Hand a text over, once. Takes a few seconds at most, and never raises for what a provider does."""
        ...

    async def call(self, call: Call) -> SendReport:
        """Place a call, once. As `text`."""
        ...

    async def hang_up(self, provider_id: str) -> None:
        """End a call that nobody waits for any more, if it still stands. Never raises for what a provider does."""
        ...


class Dispatcher(Protocol):
    """Sees to it that texts and calls go out."""

    def dispatch(self, messages: Sequence[Message]) -> None:
        """Take charge of messages, which are committed and leased to this process; returns at once."""
        ...

    def take_back(self, challenges: Sequence[ChallengeId]) -> None:
        """Nobody waits for the answers to these any more: phones that still ring for one need not; returns at once."""
        ...


class Courier(Protocol):
    """Sees to it that phones hear of the prompts that were put."""

    def take(self, user_id: UserId, deliveries: Sequence[Delivery]) -> None:
        """Take charge of a person's prompts, which are committed and leased to this process; returns at once."""
        ...


class PasswordChecker(Protocol):
    """Says whether a password is a user's: the service's own table, or later a directory."""

    async def check(self, user: User | None, password: str) -> bool:
        """True if right. Takes the same time for an unknown user. Raises Busy when too many wait already."""
        ...

    async def hash(self, password: str) -> str:
        """What is stored of a new password."""
        ...


class TokenSigner(Protocol):
    """Signs what the service says, with the newest of its keys."""

    def sign(self, claims: bytes, typ: str) -> str:
        """A compact JWS (RFC 7515) over the JSON `claims`, ES256, with `typ` and `kid` in its header."""
        ...
