"""`./dev soak` lists the stories, `./dev soak NAME` tells one with all its rounds, `./dev soak all` every one.

Each prints its table, and the same as Markdown; `--into docs/performance.md` puts that between the lines
`<!-- soak NAME -->` and `<!-- end -->`. The exit code is 1 if anything that was promised did not hold; then the folder
with the server's data, its log and the history is kept and named.
"""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.machine import LimitError, describe
from tests.soak import (
    chaos,
    codes,
    drain,
    durability,
    expiry,
    herd,
    hints,
    kills,
    leaks,
    races,
    rolling,
    texts,
    undead,
    wakes,
)
from tests.soak.durability import NoTracerError
from tests.soak.story import Report, Story
from tests.support.deployments import Deployment

_PLACE = re.compile(r"^<!-- soak (?P<name>[\w-]+) -->\n(?P<between>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Told:
    """A story, how many rounds make it whole, what a round is, and which statements it shows."""

    story: Story
    rounds: int
    unit: str
    shows: str


STORIES: Mapping[str, Told] = {
    "races": Told(races.run, 500, "sign-ins raced for", "R-01, S-31, S-32"),
    "kills": Told(kills.run, 200, "times kill -9", "R-02, R-04, R-22"),
    "durability": Told(durability.run, 500, "approvals traced", "R-02"),
    "leaks": Told(leaks.run, 5000, "connections a visit", "R-08, R-13"),
    "drain": Told(drain.run, 1000, "polls and sockets", "R-15"),
    "rolling": Told(rolling.run, 10, "times everything restarted in turn", "R-14, R-15"),
    "undead": Told(undead.run, 20, "times stopped and continued", "R-16"),
    "herd": Told(herd.run, 5000, "phones", "R-17"),
    "herd-of-several": Told(functools.partial(herd.run, deployment=Deployment.FLEET), 5000, "phones", "R-17"),
    "expiry": Told(expiry.run, 10, "times everything runs out", "R-19"),
    "hints": Told(hints.run, 100, "sign-ins without a bell", "R-06"),
    "chaos": Told(chaos.run, 3600, "seconds of faults in everything", "R-01 to R-06, R-10, R-16, R-22, R-24"),
    "codes": Told(codes.run, 200, "times codes are typed at once", "S-21, S-24, S-61"),
    "codes-of-several": Told(
        functools.partial(codes.run, deployment=Deployment.FLEET),
        200,
        "times codes are typed at once",
        "S-21, S-24, S-61",
    ),
    "wakes": Told(wakes.run, 200, "prompts to be sent at a kill -9", "R-10"),
    "texts": Told(texts.run, 200, "times kill -9 around a provider's calls", "R-10"),
    "texts-on-postgres": Told(
        functools.partial(texts.run, deployment=Deployment.POSTGRES),
        200,
        "times kill -9 around a provider's calls",
        "R-10",
    ),
}


def soak(
    name: Annotated[str, typer.Argument(help="A story, or all.")] = "",
    rounds: Annotated[int | None, typer.Option(min=1, help="Instead of the story's own number.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed throws the same dice.")] = 1,
    into: Annotated[Path | None, typer.Option(help="A document with a place for the tables.")] = None,
) -> None:
    """Tell the stories of faults and load with all their rounds."""
    console = Console()
    if not name:
        _list(console)
        return
    if name != "all" and name not in STORIES:
        Console(stderr=True).print(Text(f"there is no story {name}; without a name they are listed"))
        raise typer.Exit(2)
    failed = [each for each in (STORIES if name == "all" else (name,)) if not _tell(console, each, rounds, seed, into)]
    if failed:
        raise typer.Exit(1)


def _list(console: Console) -> None:
    table = Table("story", "rounds", "of", "shows")
    for name, told in STORIES.items():
        table.add_row(name, f"{told.rounds:,}", told.unit, told.shows)
    console.print(table)


def _tell(console: Console, name: str, rounds: int | None, seed: int, into: Path | None) -> bool:
    """Tell one story; whether all held."""
    told = STORIES[name]
    folder = Path(tempfile.mkdtemp(prefix=f"soak-{name}-"))
    console.print(Text(f"{name}: {told.shows}; seed {seed}"))
    began = time.monotonic()
    try:
        report = uvloop.run(
            told.story(
                folder, rounds=rounds or told.rounds, seed=seed, say=lambda text: console.print(Text(f"  {text}"))
            )
        )
    except (LimitError, NoTracerError) as refusal:
        console.print(Text(f"{name} can't be told here: {refusal}"))
        shutil.rmtree(folder)
        return False
    for table in report.tables:
        table.show(console)
    text = _markdown(report, time.monotonic() - began)
    if into is None:
        console.print(Text(text))
    else:
        into.write_text(fill_in(into.read_text(encoding="utf-8"), name, text), encoding="utf-8")
    if report.faults:
        for fault in report.faults:
            console.print(Text(fault))
        console.print(Text(f"kept: {folder}"))
        return False
    shutil.rmtree(folder)
    return True


def _markdown(report: Report, seconds: float) -> str:
    machine = describe()
    where = f"{machine.cpu}, {machine.cores} cores, {machine.system}, Python {machine.python}"
    tables = [table.markdown() for table in report.tables]
    return "\n".join([f"Seen on {datetime.now(UTC):%Y-%m-%d} in {seconds:.0f} s: {where}.", "", *tables])


def fill_in(document: str, name: str, text: str) -> str:
    """The document with this story's tables in their place. Exits with 1 where it has none."""
    if name not in {place["name"] for place in _PLACE.finditer(document)}:
        Console(stderr=True).print(Text(f"the document has no lines <!-- soak {name} --> and <!-- end -->"))
        raise typer.Exit(1)

    def filled(place: re.Match[str]) -> str:
        between = f"\n{text}\n" if place["name"] == name else place["between"]
        return f"<!-- soak {place['name']} -->\n{between}<!-- end -->"

    return _PLACE.sub(filled, document)


if __name__ == "__main__":
    typer.run(soak)
