"""What is said over Redis: a channel for each topic, and in the message nothing but who rang."""

from __future__ import annotations

import secrets
from typing import NewType

from push_service.ports import Topic

Channel = NewType("Channel", bytes)
Origin = NewType("Origin", bytes)
"""Which process rang: it has rung its own listeners already, and not over the network."""

PREFIX = b"push-service:"
"""All channels begin so: an access rule of the server can name them (`&push-service:*`)."""


def new_origin() -> Origin:
    """A name for this process, as unlikely to be anyone else's as an id."""
    return Origin(secrets.token_hex(8).encode())


def channel_of(topic: Topic) -> Channel:
    """The channel that a topic is rung on."""
    return Channel(b"%b%b:%b" % (PREFIX, topic.subject.encode(), topic.id.encode()))


def topic_of(channel: Channel) -> Topic:
    """The topic of a channel that was made by `channel_of`."""
    subject, _, id_ = channel.removeprefix(PREFIX).decode().partition(":")
    return Topic(subject, id_)
