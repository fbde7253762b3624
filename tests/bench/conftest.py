"""The people of the benchmarks, registered once for all stories: each gets a copy of what that left behind."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench import contestants
from bench.people import People, prepare

MOST = 30


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, People]:
    """A data directory, and who is registered in it."""
    data = tmp_path_factory.mktemp("bench") / "data"
    return data, prepare(data, MOST)


@pytest.fixture
def registered_already(installation: tuple[Path, People], monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks that want people of an embedded service copy them."""
    made, everybody = installation

    def copied(data: Path, count: int, settings: Mapping[str, str] | None = None) -> People:
        assert settings is None
        shutil.copytree(made, data)
        return People(everybody.vouching, everybody.persons[:count])

    monkeypatch.setattr(contestants, "prepare", copied)
