"""The asking browser in words that a person can compare with what they see: "Firefox on Windows"."""

from __future__ import annotations

import functools

from ua_parser import parse

from push_service.model.sign_in import Asker

MAX_AGENT = 512


@functools.lru_cache(maxsize=4096)
def in_words(user_agent: str) -> str | None:
    """Browser and system of a User-Agent; None where nothing is recognised, so that no stranger's text is shown."""
    found = parse(user_agent)
    browser = found.user_agent.family if found.user_agent else None
    system = found.os.family if found.os else None
    if browser and system:
        return f"{browser} on {system}"
    return browser or system


def described(address: str | None, user_agent: str | None) -> Asker:
    """The asker of a begin. What can't be seen is left out of the agent's text."""
    agent = "".join(char for char in user_agent[:MAX_AGENT] if char.isprintable()) if user_agent else None
    return Asker(ip=address, user_agent=agent, browser=in_words(agent) if agent else None)
