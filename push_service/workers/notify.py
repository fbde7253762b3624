"""Tells systemd how the service is doing (sd_notify(3)); without systemd nobody is told.

The protocol is one datagram. The libraries for it want a C compiler or are no longer kept.
"""

from __future__ import annotations

import os
import socket
import time

import structlog

_log = structlog.get_logger()


def ready() -> None:
    """It serves: dependent units may start, and a reload is over."""
    _tell("READY=1")


def reloading() -> None:
    """Workers are being replaced."""
    _tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """It was told to end, and does."""
    _tell("STOPPING=1")


def _tell(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # a name in the abstract namespace
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect(address)
            line.sendall(state.encode())
    except OSError as problem:  # the service goes on; systemd will say what it missed
        _log.warning("systemd.unheard", state=state, detail=problem.strerror)
