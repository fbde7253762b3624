"""The benchmarks of scaling out, a fraction of their size: that they complete and tell what is what, not how fast."""

from pathlib import Path

import pytest

from bench.scaling.benchmark import SETUPS, ScalingResult
from bench.scaling.population import PopulationResult
from tests.bench.test_service import run

pytestmark = pytest.mark.usefixtures("registered_already")


def test_every_setup_signs_people_in_and_every_part_of_it_is_counted_apart(tmp_path: Path) -> None:
    arguments = ("scaling", "--people", "4", "--processes", "2", "--rounds", "1", "--seconds", "0.3")
    measured = run(tmp_path / "scaling.json", ScalingResult, *arguments)
    turns = measured.rounds[0]
    setups = [setup for setup in SETUPS if setup.processes <= 2]
    assert [turn.setup for turn in turns] == [setup.name for setup in setups]
    for setup, turn in zip(setups, turns, strict=True):
        for taken in (turn.busy, turn.steady):
            assert taken.errors == {}
            assert taken.sign_ins > 0
        assert turn.busy.server_cpu_ms > turn.busy.bus_cpu_ms
        assert setup.postgres or turn.busy.database_cpu_ms == 0
    # One turn is so short that the system's clock of processor time may not have ticked.
    assert sum(turn.busy.database_cpu_ms for turn in turns) > 0
    busy, steady, hops = measured.tables()
    for whole in (busy, steady):
        assert [row[0] for row in whole.rows] == [setup.name for setup in setups]
    assert busy.rows[0][6] == "1.00", "the embedded service is what the others are compared to"
    assert all(part.here for part in measured.parts[0])
    assert hops.rows[0][0] == "a wait's subscription, to and from"


def test_the_same_people_sign_in_among_few_and_among_many(tmp_path: Path) -> None:
    arguments = ("population", "--people", "4", "--rounds", "1", "--seconds", "0.3", "--others", "10000")
    measured = run(tmp_path / "population.json", PopulationResult, *arguments)
    places = measured.rounds[0]
    assert [(each.store, each.others) for each in places] == [
        ("SQLite", 10),
        ("SQLite", 10_000),
        ("PostgreSQL", 10),
        ("PostgreSQL", 10_000),
    ]
    for each in places:
        assert each.taken.errors == {}
        assert each.taken.sign_ins > 0
    [table] = measured.tables()
    assert table.rows[1][1] == "10,000"
