"""The family of refusals: complete, distinct, and able to say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from push_service.model import errors
from push_service.model.errors import Fault, ServiceError, TooLate


def _family(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _family(each)


FAMILY = [each for each in _family() if each.__module__ == errors.__name__]


def test_every_code_is_one_refusals_own() -> None:
    codes = [each.code for each in FAMILY if "code" in vars(each)]
    assert len(set(codes)) == len(codes)
    shared = {each: each.__mro__[1] for each in FAMILY if "code" not in vars(each)}
    assert shared == {errors.InvalidClientCredentials: errors.InvalidCredentials}, "it differs by its status alone"


@pytest.mark.parametrize("kind", FAMILY)
def test_every_refusal_stands_in_the_tree_under_its_status(kind: type[ServiceError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if kind.__name__ in line.replace("·", " ").split())
    assert kind is ServiceError or str(kind.status) in line or line.startswith("    │ "), line
    assert kind.sentence.endswith(".")
    assert kind().detail == str(kind()) == kind.sentence


def test_a_refusal_says_what_is_wrong_this_time() -> None:
    refusal = TooLate("Over.", state="denied", reported=True, faults=(Fault("/a", "missing"),))
    assert (refusal.detail, refusal.state, refusal.reported) == ("Over.", "denied", True)
    assert refusal.faults[0].pointer == "/a"
    assert refusal.retry_after is None
