"""What a person may call a thing of theirs."""

from __future__ import annotations

import pytest

from push_service.model.errors import InvalidRequest
from push_service.model.label import MAX_LABEL, label


def test_what_cannot_be_seen_is_left_out_and_spaces_are_single() -> None:
    assert label("  Mail\u202e\n on   my laptop ", "A name") == "Mail on my laptop"
    assert label("x" * MAX_LABEL, "A name") == "x" * MAX_LABEL


@pytest.mark.parametrize("text", ["", " ", "\u200b", "x" * (MAX_LABEL + 1)])
def test_nothing_and_too_much_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^A name has 1 to 64 visible characters"):
        label(text, "A name")
