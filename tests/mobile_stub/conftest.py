"""Fixtures of the stub's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mobile_stub.fake_service import FakeService, fake_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with fake_service() as running:
        yield running
