"""What happened, one JSON line an operation, for a checker that knows nothing of who wrote it.

Each line: `client` (who), `op` (what), `sign_in` and `challenge` (on what), `invoke` and `complete` (seconds of this
machine's monotonic clock; no `complete`: nobody knows), `type` (`ok`, `fail`: surely nothing happened, `info`: unknown)
and what was told: `status`, `state`, `version`, `code`, `outcome`, `reason`.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec


class Line(msgspec.Struct, omit_defaults=True):
    """One operation."""

    client: str
    op: str
    sign_in: str
    invoke: float
    challenge: str | None = None
    complete: float | None = None
    type: str = ""
    status: int | None = None
    state: str | None = None
    version: int | None = None
    code: str | None = None
    outcome: str | None = None
    reason: str | None = None


class History:
    """Appends to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: IO[bytes] = path.open("wb", buffering=1 << 16)
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def begin(self, client: str, op: str, sign_in: str, challenge: str | None = None) -> Line:
        """An operation that is being sent now; hand it to `end` whatever comes of it."""
        return Line(client=client, op=op, sign_in=sign_in, invoke=time.monotonic(), challenge=challenge)

    def end(self, line: Line, kind: str = "ok") -> None:
        """What was told has been filled in: write it down."""
        if kind != "info":
            line.complete = time.monotonic()
        line.type = kind
        self._file.write(self._encode(line) + b"\n")
        self.count += 1
