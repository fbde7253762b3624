"""Metrics of all workers of a machine, from whichever of them is asked.

Each gives its own to whoever connects to its socket in the run directory. The one that is scraped asks the others, all
at once and for half a second, and answers with all of them under a label `worker`. One that does not answer is missing
from the scrape and counted; its series go on at the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from push_service.workers.seat import Seat

PATIENCE_SECONDS = 0.5


class Siblings:
    """The workers of this machine, as one of them sees them."""

    def __init__(self, seat: Seat, measured: Callable[[], bytes], missed: Callable[[], None]) -> None:
        """`measured` gives this worker's metrics, `missed` is called for each sibling that did not answer."""
        self._seat, self._measured, self._missed = seat, measured, missed

    @asynccontextmanager
    async def giving(self) -> AsyncIterator[None]:
        """Give this worker's metrics to its siblings while entered.

        The socket takes the place of the one that a predecessor of the same number had.
        """
        path = self._seat.metrics_of(self._seat.number)
        made = path.with_suffix(".new")
        made.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind(str(made))
        server = await asyncio.get_running_loop().create_unix_server(lambda: _Giver(self._measured), sock=bound)
        made.rename(path)
        try:
            yield
        finally:
            server.close()  # the file stays: it may be a successor's by now, and goes with the run directory

    async def gathered(self) -> bytes:
        """The metrics of all workers that answer, each with the label `worker`."""
        mine = self._seat.number
        others = [number for number in range(1, self._seat.of + 1) if number != mine]
        answers = await asyncio.gather(*(_asked(self._seat.metrics_of(number)) for number in others))
        texts = {number: answer for number, answer in zip(others, answers, strict=True) if answer is not None}
        for _ in range(len(others) - len(texts)):
            self._missed()
        return merged({mine: self._measured(), **texts})


class _Giver(asyncio.Protocol):
    """Says it all to whoever connects, and hangs up."""

    def __init__(self, measured: Callable[[], bytes]) -> None:
        self._measured = measured

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writable = cast("asyncio.WriteTransport", transport)  # uvloop's are none by class
        writable.write(self._measured())
        writable.close()


async def _asked(path: Path) -> bytes | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            with contextlib.closing(writer):
                text = await reader.read()
                return text if text.endswith(b"\n") else None  # else it died in the middle
    except (OSError, TimeoutError):
        return None


def merged(texts: Mapping[int, bytes]) -> bytes:
    """Texts in Prometheus' format as one: a family's samples stand together, each with the label `worker`."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for number, text in sorted(texts.items()):
        family = ""
        for line in text.decode().splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                first = family not in heads
                if first:
                    heads[family], samples[family] = [line], []
            elif line.startswith("#"):
                if len(heads[family]) == 1:
                    heads[family].append(line)
            else:
                samples[family].append(_labelled(line, number))
    lines = [line for family, head in heads.items() for line in (*head, *samples[family])]
    return ("\n".join(lines) + "\n").encode()


def _labelled(sample: str, number: int) -> str:
    """A sample's line with one label more."""
    name, brace, labels = sample.partition("{")
    if brace and " " not in name:
        return f'{name}{{worker="{number}",{labels}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{number}"}} {value}'
