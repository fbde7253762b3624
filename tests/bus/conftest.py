"""What stories of the bell between processes share."""

from __future__ import annotations

import pytest

from push_service.bus.redis import link, node


@pytest.fixture
def quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats that come fast, for stories of what is done or noticed by them and not of how soon."""
    monkeypatch.setattr(link, "BEAT_SECONDS", 0.2)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Confirmations are waited for, however busy the machine is: for stories that count rings."""
    monkeypatch.setattr(node, "CONFIRM_SECONDS", 30.0)
