"""The wording of the hosted pages.

Each sentence is used, each that is used is there, and each refusal that a person can meet there has one.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import push_service.pages
from push_service.frontends.words import DEFAULT, Words, words
from tests.support import doc_tables

PAGES: Final = Path(push_service.pages.__file__).parent

NOT_MET: Final = {
    "invalid_token": "leads to the sign-in page",
    "fresh_sign_in_required": "leads to the sign-in page",
    "challenge_changed": "the page catches up",
    "no_code_due": "the page catches up",
    "not_confirmed": "the page asks again",
    "too_many_waits": "the page waits",
    "invalid_client": "our own pages name no other application than was found",
    "origin_not_allowed": "our own pages have our origin",
    "unsupported_media_type": "our own pages send JSON",
    "body_too_large": "our own pages send little",
    "idempotency_key_reused": "our own pages make a new key",
    "not_rememberable": "the page goes on without",
    "invalid_activation_code": "is about a code that a phone sends",
    "unknown_user": "whoever is signed in exists",
    "not_found": "our own pages know the paths",
    "method_not_allowed": "our own pages know the methods",
}
"""Refusals of the pages' routes that need no sentence of their own, and why."""

ROUTES: Final = re.compile(r"/v1/(sign-ins/\{id\}|me)|/sign-in/begin")
_NAMED = re.compile(r"(?:text|phrase|counted|known|firstKnown|askAgain)\(\s*[\"`]([^\"`]+)[\"`]")
_LOOKS_LIKE_ONE = re.compile(r"[\"`](\w+(?:\.[\w-]+)+)[\"`]")
_IN_TEMPLATE = re.compile(r"\bwords\.([\w.]+)")


def sentences(group: Words, prefix: str = "") -> Iterator[str]:
    """The keys of all sentences."""
    for name, entry in group.items():
        if isinstance(entry, str):
            yield prefix + name
        else:
            yield from sentences(entry, f"{prefix}{name}.")


def used() -> set[str]:
    """The keys that scripts and templates name; `${…}` in one stands for any name."""
    found = {"language", "error.*"}
    for script in (PAGES / "static").glob("*.js"):
        source = script.read_text()
        for key in (*_NAMED.findall(source), *_LOOKS_LIKE_ONE.findall(source)):
            found.add(re.sub(r"\$\{[^}]*\}", "*", key))
    for template in (PAGES / "templates").glob("*.html"):
        for key in _IN_TEMPLATE.findall(template.read_text()):
            found.add(re.sub(r"\.(replace|split)$", "", key))
    return found


def matches(pattern: str, key: str) -> bool:
    """Whether the key may be meant; a sentence for a number of things is meant by its group."""
    wild = re.escape(pattern).replace(r"\*", r"[\w.-]+")
    return re.fullmatch(rf"{wild}(\.(zero|one|two|few|many|other))?", key) is not None


def test_every_sentence_of_the_catalogue_is_used() -> None:
    patterns = used()
    unused = [key for key in sentences(words()) if not any(matches(pattern, key) for pattern in patterns)]
    assert unused == []


def test_every_sentence_that_a_page_names_is_in_the_catalogue() -> None:
    keys = set(sentences(words()))
    there = keys | {key.rpartition(".")[0] for key in keys}
    named = {pattern for pattern in used() if not pattern.endswith((".js", ".svg", ".html"))}
    assert [pattern for pattern in named if not any(matches(pattern, key) for key in there)] == []


@pytest.mark.parametrize("file", sorted((PAGES / "words").glob("*.toml")), ids=lambda file: file.stem)
def test_every_language_says_the_same_things(file: Path) -> None:
    def things(group: Words) -> set[str]:
        return {re.sub(r"\.(zero|one|two|few|many|other)$", "", key) for key in sentences(group)}

    catalogue = tomllib.loads(file.read_text("utf-8"))
    assert catalogue["language"] == file.stem
    assert things(catalogue) == things(words(DEFAULT))


async def test_every_refusal_that_a_person_can_meet_on_the_pages_has_a_sentence() -> None:
    async with doc_tables.unstarted_server() as server:
        document = await doc_tables.openapi(server)
    codes = {
        code
        for path, operations in document["paths"].items()
        if ROUTES.match(path)
        for operation in operations.values()
        for code in re.findall(r"`(\w+)`", doc_tables.refusals(operation))
    }
    problems = words()["problems"]
    assert not isinstance(problems, str)
    assert sorted(codes - problems.keys() - NOT_MET.keys()) == []
