"""What a page asks and what it is answered, as tests write it down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

Json = dict[str, object]


def soon(seconds: float = 120) -> str:
    """The time in so many seconds, as the interface writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``None`` in its place is a connection that breaks."""

    body: Mapping[str, object] | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(status: int, code: str, *, retry_after: int | None = None, detail: str = "", **members: object) -> Answer:
    """A refusal."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return Answer({"status": status, "code": code, "title": code, "detail": detail} | members, status, headers)


@dataclass(frozen=True)
class Request:
    """What a page asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: Json
