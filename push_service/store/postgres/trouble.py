"""What an error of the server, the driver or the network means for a call, and for the connection that it came over."""

from __future__ import annotations

import re
from enum import Enum

import asyncpg
from asyncpg.exceptions import InternalClientError

from push_service.model.errors import InvalidRequest, StoreUnavailable
from push_service.ports import Duplicate

TROUBLES = (asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError, OSError, TimeoutError)
"""Whatever a call over a connection may end with, apart from a defect of this program."""

RETRY_SECONDS = 1.0

_DATA_CLASSES = ("22", "23")
_CONFLICT_CLASS = "40"
_HARMLESS = ("55P03", "57014")
"""A lock that was not free in time, a statement that took too long: the connection is as good as before."""
_CONNECTION_CLASSES = ("08", "57P")
_REFUSED_CLASSES = ("08", "28", "3D", "57P")
"""Said about the connection, its account or its database rather than about what was asked."""


class Fate(Enum):
    """What became of a write that ended in trouble."""

    REFUSED = "refused"
    """The server said no: nothing was written."""
    GUILTY = "guilty"
    """Nothing was written, because of what was to be written; without that row the rest may pass."""
    CONFLICT = "conflict"
    """Nothing was written, because of what others wrote at the same time; it may be tried again."""
    UNKNOWN = "unknown"
    """The connection was lost before the answer came: it may be written or not."""
    UNANSWERED = "unanswered"
    """No answer in time; there may be one yet."""


def fate_of(problem: BaseException) -> Fate:
    """Which of these a write met with."""
    state = _state(problem)
    if _is_data(problem):
        return Fate.GUILTY
    if state.startswith(_CONFLICT_CLASS):
        return Fate.CONFLICT
    if isinstance(problem, TimeoutError):
        return Fate.UNANSWERED
    if not state or state.startswith(_CONNECTION_CLASSES):
        return Fate.UNKNOWN
    return Fate.REFUSED


def spoils(problem: BaseException) -> bool:
    """Whether the connection had better be given up.

    Also where the server turned read-only or its schema changed: the next connection may lead to another server.
    """
    state = _state(problem)
    harmless = state.startswith((*_DATA_CLASSES, _CONFLICT_CLASS)) or state in _HARMLESS or _is_data(problem)
    broken_off = not isinstance(problem, Exception)
    return broken_off or (isinstance(problem, TROUBLES) and not harmless)


def told(problem: BaseException) -> Exception:
    """The error that a caller of the store is told, and through it perhaps a stranger: no address, no account."""
    match problem:
        case asyncpg.UniqueViolationError():
            return Duplicate(_column(problem))
        case _ if _is_data(problem):
            return InvalidRequest("The request holds text that can't be stored, such as a NUL character.")
        case TimeoutError():
            return unanswered()
        case asyncpg.PostgresError() if not _state(problem).startswith(_REFUSED_CLASSES):
            return _unavailable(in_one_line(problem))
        case _:
            return _unavailable("there is no connection to it")


def told_the_operator(problem: BaseException) -> Exception:
    """The same for whoever starts the service or runs a command: with all that was said."""
    return told(problem) if _is_data(problem) else _unavailable(in_one_line(problem))


def in_one_line(problem: BaseException) -> str:
    """What it says of itself, for a log."""
    return " ".join(str(problem).split()) or type(problem).__name__


def _unavailable(why: str) -> StoreUnavailable:
    return StoreUnavailable(f"The store can't be used: {why}.", retry_after=RETRY_SECONDS)


def unanswered() -> StoreUnavailable:
    """The store took too long."""
    return StoreUnavailable("The store did not answer in time.", retry_after=RETRY_SECONDS)


def _is_data(problem: BaseException) -> bool:
    """Said by the server, or by the driver before it even sent it."""
    from_driver = isinstance(problem, asyncpg.InterfaceError) and isinstance(problem, ValueError)
    return from_driver or _state(problem).startswith(_DATA_CLASSES)


def _state(problem: BaseException) -> str:
    """The SQLSTATE; empty where no server said anything."""
    return str(getattr(problem, "sqlstate", None) or "") if isinstance(problem, asyncpg.PostgresError) else ""


def _column(problem: asyncpg.UniqueViolationError) -> str:
    """`table.column`, the first of several: the detail begins `Key (column, …)=`, in whatever language."""
    column = re.search(r"\((\w+)", problem.detail or "")
    return f"{problem.table_name}.{column.group(1) if column else problem.constraint_name}"
