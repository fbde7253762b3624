"""An installation to be looked at: made by the service itself, then broken by the story."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from unittest import mock

import pytest

from push_service.config import Settings, load
from push_service.core import open_core
from push_service.doctor.check import Finding, run_all
from push_service.doctor.rounds import checks

Examine = Callable[..., Awaitable[dict[str, Finding]]]


def settings_for(data: Path, **settings: str) -> Settings:
    """The settings of an installation in this directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")}
    given = {f"PUSH_SERVICE_{name}": value for name, value in {"DATA_DIR": str(data), **settings}.items()}
    with mock.patch.dict(os.environ, kept | given, clear=True):
        return load()


async def started(data: Path, **settings: str) -> None:
    """Start an installation once, with its data in this directory."""
    async with open_core(settings_for(data, **settings)):
        pass


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The data directory of an installation that was started once."""
    folder = tmp_path / "data"
    await started(folder)
    return folder


@pytest.fixture
def database(data: Path) -> Path:
    """Its database."""
    return data / "push-service.db"


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """Examine the installation with these settings: findings by check."""

    async def run(**settings: str) -> dict[str, Finding]:
        found = await run_all(checks(settings_for(tmp_path / "data", **settings)))
        return {each.check: each for each in found}

    return run
