"""The pages' wording: one catalogue a language, read once, and given to templates and scripts alike.

A catalogue is a TOML file in `pages/words/`; a translator needs to see nothing else. Templates take single sentences
from it, and hand the whole to the page's scripts as data. Called by `frontends/pages`.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import TypeAlias

Words: TypeAlias = "Mapping[str, str | Words]"
"""Sentences by key, in groups."""

DEFAULT = "en"


@functools.cache
def words(language: str = DEFAULT) -> Words:
    """The catalogue of a language, named by its BCP 47 tag. Raises FileNotFoundError where there is none."""
    file = resources.files("push_service.pages").joinpath("words", f"{language}.toml")
    return tomllib.loads(file.read_text("utf-8"))
