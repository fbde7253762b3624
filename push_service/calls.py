"""What a provider's news of a text or call comes to: the use case behind the webhooks.

Nothing is asked by text or call yet, so every message is unknown here.
"""

from __future__ import annotations

from enum import StrEnum

from push_service.model.ids import MessageId


class AnsweredBy(StrEnum):
    """Who took the call, as far as the provider can tell."""

    PERSON = "person"
    MACHINE = "machine"
    UNKNOWN = "unknown"


class CallReply(StrEnum):
    """What the voice says next."""

    ASK = "ask"
    """Ask for #."""
    ASK_PIN = "ask_pin"
    """Ask for the number that the page shows, then #."""
    AGAIN = "again"
    """Put the question again."""
    DONE = "done"
    FRAUD = "fraud"
    OVER = "over"
    """There is nothing to answer (any more)."""


class Status(StrEnum):
    """How a text or call fared."""

    SENT = "sent"
    DELIVERED = "delivered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELED = "canceled"
    COMPLETED = "completed"
    """A call that was answered has ended."""


class Calls:
    """See the module."""

    async def answered(self, message_id: MessageId, provider_id: str, by: AnsweredBy) -> CallReply:
        """A call was answered."""
        del message_id, provider_id, by
        return CallReply.OVER

    async def keyed(self, message_id: MessageId, provider_id: str, keys: str) -> CallReply:
        """Keys were pressed in answer to what the voice asked; "" for silence."""
        del message_id, provider_id, keys
        return CallReply.OVER

    async def status(self, message_id: MessageId, provider_id: str, status: Status, code: str | None) -> None:
        """A text or call has come so far; `code` is the provider's own word for why."""
