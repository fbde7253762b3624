"""What a benchmark leaves behind: a table on the screen and one JSON file, which docs/performance.md is made from.

A benchmark is a function from `Options` to a result that can be shown as tables. The files in `bench/results/` are of
one machine and one day and stay out of the repository; the tables in the documentation are what is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.machine import Machine

RESULTS = Path(__file__).parent / "results"


class Store(StrEnum):
    """Where the service keeps the truth."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


class Bus(StrEnum):
    """What its bells go over."""

    LOCAL = "local"
    REDIS = "redis"


@dataclass(frozen=True)
class Options:
    """What the command line can change; each benchmark takes what concerns it, and its own default for `None`."""

    rounds: int | None = None
    seconds: float | None = None
    people: int | None = None
    waiting: int | None = None
    devices: Sequence[int] = ()
    others: int | None = None
    processes: int | None = None
    prototype_only: bool = False
    store: Store = Store.SQLITE
    bus: Bus = Bus.LOCAL

    def rounds_or(self, default: int) -> int:
        """How many rounds are taken."""
        return default if self.rounds is None else self.rounds

    def seconds_or(self, default: float) -> float:
        """How long each measurement lasts."""
        return default if self.seconds is None else self.seconds


@dataclass(frozen=True)
class Table:
    """A table for people, on the screen or in the documentation; below it, what follows from it, a sentence a line."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    conclusions: Sequence[str] = ()

    def show(self, console: Console) -> None:
        """Print it."""
        rich = RichTable(title=Text(self.title), title_justify="left")
        for position, column in enumerate(self.columns):
            rich.add_column(Text(column), justify="right" if position else "left")
        for row in self.rows:
            rich.add_row(*map(Text, row))  # as text: a range in brackets is not markup
        console.print(rich)
        for conclusion in self.conclusions:
            console.print(Text(conclusion))

    def markdown(self) -> str:
        """The same as a Markdown table, its title as a paragraph above."""
        lines = [self.title, "", _line(self.columns), _line(["---"] + ["---:"] * (len(self.columns) - 1))]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *(f"- {conclusion}" for conclusion in self.conclusions)]).rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


class Result(Protocol):
    """What a benchmark measured: a dataclass that msgspec can write."""

    def tables(self) -> Sequence[Table]:
        """The tables that say it."""


class Record(msgspec.Struct):
    """The JSON file of one benchmark: when, where and how, the tables, and every single measurement."""

    benchmark: str
    at: datetime
    machine: Machine
    options: Options
    tables: Sequence[Table]
    measured: msgspec.Raw = msgspec.Raw()


def save(name: str, machine: Machine, options: Options, result: Result, target: Path | None) -> Path:
    """Write the benchmark's JSON file, by default to `bench/results/`; its path."""
    path = target or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = msgspec.Raw(msgspec.json.encode(result))
    record = Record(name, datetime.now(UTC), machine, options, result.tables(), measured)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
    return path


def load(path: Path) -> Record:
    """Read what `save` has written."""
    return msgspec.json.decode(path.read_bytes(), type=Record)


def errors_text(errors: Mapping[str, int]) -> str:
    """`0`, or how many and what, each kind once."""
    return ", ".join(f"{count} x {what}" for what, count in sorted(errors.items())) or "0"
