"""Audit records as rows, and the bells that they ring: every store writes the same, and is heard by the same.

What another process committed is read from the audit (docs/decisions/0009); what this one committed is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from push_service.model.decision import Audit, Decision
from push_service.model.ids import DecisionId, SignInId, UserId
from push_service.model.instant import Instant
from push_service.ports import APPLICATIONS, SIGNING_KEYS, Topic
from push_service.store.rows import Row, text


def audit_rows(decision: DecisionId, now: Instant, audit: Sequence[Audit]) -> list[Row]:
    """To `AUDIT`: records that belong together, in their order."""
    return [
        (
            decision,
            n,
            now,
            each.user_id,
            each.sign_in_id,
            each.actor.value,
            each.kind.value,
            each.code,
            each.source,
            text(each.data) if each.data else "{}",
        )
        for n, each in enumerate(audit)
    ]


def topics_of_decision(user_id: UserId, decision: Decision[object]) -> tuple[Topic, ...]:
    """What is rung when the decision is durable. For a sign-in that has just begun nobody can be waiting yet."""
    topics = [Topic.sign_in(sign_in.id) for sign_in in decision.sign_ins if sign_in.version > 1]
    if (decision.challenges or decision.device or decision.user) and not decision.devices_know:
        topics.append(Topic.user(user_id))
    return tuple(topics)


def topics_of_record(user_id: str | None, sign_in_id: str | None, kind: str) -> list[Topic]:
    """What is rung for a record that another process wrote."""
    topics = []
    if user_id:
        topics.append(Topic.user(UserId(user_id)))
    if sign_in_id:
        topics.append(Topic.sign_in(SignInId(sign_in_id)))
    if kind.startswith("application."):
        topics.append(APPLICATIONS)
    if kind.startswith("key."):
        topics.append(SIGNING_KEYS)
    return topics
