"""Ids and tokens that nobody can guess, and what is stored of a token."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from push_service.model import ids

MAKERS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("usr", ids.user_id),
    ("si", ids.sign_in_id),
    ("ch", ids.challenge_id),
    ("dev", ids.device_id),
    ("mth", ids.method_id),
    ("app", ids.application_id),
    ("dcn", ids.decision_id),
    ("con", ids.connection_id),
)


@pytest.mark.parametrize(("prefix", "make"), MAKERS)
def test_an_id_says_what_it_names_and_carries_144_bits(prefix: str, make: Callable[[], str]) -> None:
    found, _, rest = make().partition("_")
    assert found == prefix
    assert len(rest) == 24


@pytest.mark.security("S-11")
def test_100000_ids_have_no_repeats_no_order_and_nothing_in_common() -> None:
    made = [ids.sign_in_id() for _ in range(100_000)]
    assert len(set(made)) == len(made)
    rising = sum(one < other for one, other in pairwise(made))
    assert 0.49 < rising / len(made) < 0.51  # over ten standard deviations: time order would be 1
    for place in range(3, 27):
        commonest = Counter(each[place] for each in made).most_common(1)[0][1]
        assert commonest < 2 * len(made) / 64


@pytest.mark.security("S-11")
def test_a_forked_process_makes_other_ids() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, ids.sign_in_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() not in {"", ids.sign_in_id()}


def test_each_kind_of_id_says_what_it_is_of() -> None:
    made = (ids.app_password_id(), ids.browser_id(), ids.connection_id(), ids.decision_id())
    assert len({each.partition("_")[0] for each in made}) == len(made)
    assert ids.app_password_id().startswith("apw_")


def test_a_token_carries_256_bits_and_only_its_digest_is_kept() -> None:
    token = ids.secret_token("cs")
    assert token.startswith("cs_")
    assert len(token) == 3 + 43
    assert token != ids.secret_token("cs")
    assert ids.digest("abc") == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"  # FIPS 180-4, the one-block example
