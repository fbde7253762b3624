"""The socket that is listened on: bound here, or handed over by systemd (sd_listen_fds(3)).

A socket that was handed over stays open while the service is restarted: connections wait in it and none is refused.
Called once, by the process that has the promised line to print.
"""

from __future__ import annotations

import os
import socket

from push_service.config import Endpoint, InvalidSettings

_FIRST_HANDED_OVER = 3  # SD_LISTEN_FDS_START


def listening_socket(endpoint: Endpoint) -> socket.socket:
    """The socket, before anything else is done, so that a port left to chance is known. Raises InvalidSettings."""
    return _handed_over() or _bound(endpoint)


def endpoint_of(bound: socket.socket) -> Endpoint:
    """Where it is, as the kernel knows it."""
    host, port = bound.getsockname()[:2]
    return Endpoint(host=host, port=port)


def _handed_over() -> socket.socket | None:
    """What systemd gave this very process. What is meant for another, such as a parent, is left alone."""
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or int(count) == 0:
        return None
    if int(count) > 1:
        raise InvalidSettings(f"LISTEN_FDS: {count} sockets were handed over; one is listened on")
    try:
        given = socket.socket(fileno=_FIRST_HANDED_OVER)
    except OSError as problem:
        raise InvalidSettings(f"LISTEN_FDS: what was handed over is no socket: {problem.strerror}") from problem
    if given.family not in {socket.AF_INET, socket.AF_INET6} or given.type != socket.SOCK_STREAM:
        raise InvalidSettings("LISTEN_FDS: the socket that was handed over is not one of TCP")
    given.set_inheritable(False)
    given.settimeout(0)
    return given


def _bound(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((endpoint.host, endpoint.port))
    except OSError as problem:
        bound.close()
        raise InvalidSettings(f"PUSH_SERVICE_LISTEN: {endpoint} can't be listened on: {problem.strerror}") from problem
    return bound
