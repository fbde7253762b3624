"""What one run of a rule collects, and the defects that it stops."""

from __future__ import annotations

import pytest

from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor, Decision
from push_service.model.rules.changes import Changes
from push_service.model.sign_in import SignInEvent
from tests.support.scene import Scene


def test_an_end_that_is_none_is_a_defect() -> None:
    scene = Scene("phone")
    scene.begun()
    changes = Changes(scene.memory.snapshot(), scene.now)
    with pytest.raises(ValueError, match="does not end"):
        changes.end(changes.live[0], SignInEvent.ASKED, Actor.BROWSER)


def test_a_challenge_ends_once() -> None:
    scene = Scene("phone")
    ended = scene.challenge(scene.begun()).ended(ChallengeState.DENIED, scene.now)
    with pytest.raises(ValueError, match="has ended before"):
        ended.ended(ChallengeState.COMPLETED, scene.now)


def test_a_run_that_changed_nothing_writes_nothing() -> None:
    scene = Scene("phone")
    scene.begun()
    decision = Changes(scene.memory.snapshot(), scene.now).decision("reply")
    assert decision == Decision(reply="reply")
    assert not decision.changes
