"""What a worker is given by its supervisor: a number, the listening socket, a line to the supervisor, a run directory.

It travels in one environment variable and two inherited descriptors. Supervisor and worker may be of different versions
during an upgrade, so what stands here only ever grows.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec

_VARIABLE = "PUSH_WORKER_SEAT"
READY = b"ready\n"
LEAVE = b"leave\n"


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's place on this machine."""

    number: int
    """From 1; a worker that replaces another has its number."""
    of: int
    """How many there are."""
    listening: int
    """The descriptor of the socket that all of them accept from."""
    line: int
    """The descriptor of the line to the supervisor: whoever hears its end has no supervisor any more."""
    run_dir: str
    """A private directory of the supervisor's, where workers have their sockets for one another."""

    def variables(self) -> dict[str, str]:
        """The environment to start the worker in."""
        return {_VARIABLE: msgspec.json.encode(self).decode()}

    def listening_socket(self) -> socket.socket:
        """The listening socket. To be taken once."""
        return _taken(self.listening)

    def open_line(self) -> socket.socket:
        """The line to the supervisor. To be taken once."""
        return _taken(self.line)

    def metrics_of(self, number: int) -> Path:
        """Where the worker of that number gives its metrics."""
        return Path(self.run_dir) / f"metrics-{number}.sock"


def seat_taken() -> Seat | None:
    """This process's seat; None where it serves alone or is the supervisor itself."""
    given = os.environ.pop(_VARIABLE, None)
    return None if given is None else msgspec.json.decode(given, type=Seat)


def _taken(descriptor: int) -> socket.socket:
    taken = socket.socket(fileno=descriptor)
    taken.set_inheritable(False)
    taken.settimeout(0)
    return taken
