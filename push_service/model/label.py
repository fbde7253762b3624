"""Labels: what a person calls a thing of theirs, such as a phone or an app password."""

from __future__ import annotations

from push_service.model.errors import InvalidRequest

MAX_LABEL = 64


def label(text: str, what: str) -> str:
    """A label fit to be shown: no control or format characters, single spaces, 1 to 64 characters.

    Raises InvalidRequest; `what` begins its sentence, such as "A device's name".
    """
    shown = " ".join("".join(char for char in text if char.isprintable()).split())
    if not shown or len(shown) > MAX_LABEL:
        raise InvalidRequest(f"{what} has 1 to {MAX_LABEL} visible characters.")
    return shown
