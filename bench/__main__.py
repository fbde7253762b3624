"""The benchmarks' command line: `python -m bench` lists them, `python -m bench NAME` runs one.

Each prints its tables and writes every single measurement to a JSON file; `markdown` turns such files into the tables
of docs/performance.md.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bench import client_sign_ins, idle_devices, load, overload, passwords, sign_in, stores
from bench.document import PlaceError, fill_in_file, markdown
from bench.machine import LimitError, cores, describe
from bench.peer import comparison as peer
from bench.people import RegistrationError
from bench.processes import StartError
from bench.results import RESULTS, Bus, Options, Result, Store, save
from bench.results import load as read
from bench.scaling import benchmark as scaling
from bench.scaling import population

commands = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Benchmarks of the service.", rich_markup_mode=None
)

Rounds = Annotated[int | None, typer.Option(min=1, help="How often each measurement is taken.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="How long each measurement lasts.")]
Json = Annotated[Path | None, typer.Option("--json", help="Where the measurements go (bench/results/NAME.json).")]
PrototypeOnly = Annotated[bool, typer.Option("--prototype-only", help="Leave the service out.")]


@commands.command("sign-in")
def _sign_in(
    rounds: Rounds = None,
    seconds: Seconds = None,
    people: Annotated[int | None, typer.Option(min=1, help="How many sign in at the same time.")] = None,
    json: Json = None,
    *,
    prototype_only: PrototypeOnly = False,
) -> None:
    """Complete sign-ins: service against bare prototype."""
    _run("sign-in", sign_in.run, Options(rounds, seconds, people=people, prototype_only=prototype_only), json)


@commands.command("peer")
def _peer(
    rounds: Rounds = None,
    seconds: Seconds = None,
    json: Json = None,
    *,
    store: Annotated[Store, typer.Option(help="Where the service keeps the truth.")] = Store.POSTGRES,
    bus: Annotated[Bus, typer.Option(help="What the service's bells go over.")] = Bus.REDIS,
) -> None:
    """The service beside privacyIDEA, which it installs."""
    _run("peer", peer.run, Options(rounds, seconds, store=store, bus=bus), json)


@commands.command("passwords")
def _passwords(
    rounds: Rounds = None,
    seconds: Seconds = None,
    people: Annotated[
        int | None, typer.Option(min=1, help="How many give a password; four times as many don't.")
    ] = None,
    json: Json = None,
) -> None:
    """Sign-ins with a password against bare argon2id."""
    _run("passwords", passwords.run, Options(rounds, seconds, people=people), json)


@commands.command("client-sign-ins")
def _client_sign_ins(rounds: Rounds = None, seconds: Seconds = None, json: Json = None) -> None:
    """Clients without a second step: app passwords against a bare route."""
    _run("client-sign-ins", client_sign_ins.run, Options(rounds, seconds), json)


@commands.command("idle-devices")
def _idle_devices(
    rounds: Rounds = None,
    settle: Annotated[
        float | None, typer.Option("--seconds", min=0.1, help="How long a server gets to put things away.")
    ] = None,
    devices: Annotated[list[int] | None, typer.Option(min=1, help="How many phones; may be repeated.")] = None,
    json: Json = None,
    *,
    prototype_only: PrototypeOnly = False,
) -> None:
    """Memory of connected phones with nothing to do."""
    _run(
        "idle-devices",
        idle_devices.run,
        Options(rounds, settle, devices=devices or (), prototype_only=prototype_only),
        json,
    )


@commands.command("load")
def _load(
    seconds: Seconds = None,
    waiting: Annotated[int | None, typer.Option(min=8, help="How many browsers wait and phones are connected.")] = None,
    json: Json = None,
) -> None:
    """Thousands wait while fifty a second sign in."""
    _run("load", load.run, Options(seconds=seconds, waiting=waiting), json)


@commands.command("stores")
def _stores(
    rounds: Rounds = None,
    seconds: Seconds = None,
    people: Annotated[int | None, typer.Option(min=1, help="How many decide at the same time.")] = None,
    json: Json = None,
) -> None:
    """A decision on PostgreSQL against the same on SQLite."""
    _run("stores", stores.run, Options(rounds, seconds, people=people), json)


@commands.command("scaling")
def _scaling(
    rounds: Rounds = None,
    seconds: Seconds = None,
    people: Annotated[int | None, typer.Option(min=1, help="How many sign in at the same time.")] = None,
    most: Annotated[int | None, typer.Option("--processes", min=1, help="Leave larger numbers of them out.")] = None,
    json: Json = None,
) -> None:
    """What a sign-in costs over more and more processes."""
    _run("scaling", scaling.run, Options(rounds, seconds, people=people, processes=most), json)


@commands.command("population")
def _population(
    rounds: Rounds = None,
    seconds: Seconds = None,
    people: Annotated[int | None, typer.Option(min=1, help="How many sign in.")] = None,
    others: Annotated[int | None, typer.Option(min=10, help="Leave larger numbers of other people out.")] = None,
    json: Json = None,
) -> None:
    """What a sign-in costs among a million people."""
    _run("population", population.run, Options(rounds, seconds, people=people, others=others), json)


@commands.command("overload")
def _overload(
    seconds: Seconds = None,
    people: Annotated[int | None, typer.Option(min=16, help="How many browsers and phones the load has.")] = None,
    json: Json = None,
) -> None:
    """Three times as many begin as can be served."""
    _run("overload", overload.run, Options(seconds=seconds, people=people), json)


@commands.command("markdown")
def _markdown(
    files: Annotated[list[Path] | None, typer.Argument(help="JSON files (all in bench/results/).")] = None,
    into: Annotated[Path | None, typer.Option(help="A document with a place for each; without it, on screen.")] = None,
) -> None:
    """Tables of earlier runs, for docs/performance.md."""
    records = [read(path) for path in files or sorted(RESULTS.glob("*.json"))]
    if into is None:
        for record in records:
            print(markdown(record))
        return
    try:
        fill_in_file(into, records)
    except PlaceError as error:
        raise _refused(error) from error


def _refused(error: Exception) -> typer.Exit:
    Console(stderr=True).print(Text(str(error)))
    return typer.Exit(1)


def _run(name: str, benchmark: Callable[[Options, Console], Result], options: Options, target: Path | None) -> None:
    console, machine = Console(), describe()
    if cores().shared:
        console.print("Only one core: server and load share it, so rates mean little here.")
    try:
        result = benchmark(options, console)
    except (StartError, RegistrationError, LimitError) as error:
        raise _refused(error) from error
    for table in result.tables():
        table.show(console)
    console.print(f"Every measurement: {save(name, machine, options, result, target)}")


if __name__ == "__main__":
    commands()
