"""Which tests show which entry of the security and reliability catalogues, as a table.

A test says what it shows: ``@pytest.mark.security("S-05", "S-06")`` or ``@pytest.mark.reliability("R-01")``.
``./dev test --security`` runs these tests alone and prints, after the summary, one line an id: how many tests show it,
what became of them, and which they are. An id that only skipped tests name is not shown, and the table says so.

The markers are checked in every run: an id that is malformed, or a marker without one, stops the collection.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest

MARKERS: Final = {"security": re.compile(r"S-\d{2}"), "reliability": re.compile(r"R-\d{2}")}
OUTCOMES: Final = ("failed", "xfailed", "skipped", "passed")  # the worst first: the order in which they are printed


@dataclass(slots=True)
class Shown:
    """One catalogue id: the tests that name it, and the outcome of each (absent: it did not run)."""

    outcomes: dict[str, str] = field(default_factory=dict)
    tests: list[str] = field(default_factory=list)

    def verdict(self) -> str:
        """Outcomes with their counts, the worst first: ``1 failed, 3 passed``."""
        counts = Counter(self.outcomes.get(test, "not run") for test in self.tests)
        return ", ".join(f"{counts[outcome]} {outcome}" for outcome in (*OUTCOMES, "not run") if counts[outcome])


def ids_of(item: pytest.Item) -> Iterator[str]:
    """The catalogue ids that a test names, each once, in the order in which they are written.

    Raises ``pytest.UsageError`` for a marker without ids, or with one that is not written like ``S-05`` or ``R-01``.
    """
    seen: set[str] = set()
    for name, pattern in MARKERS.items():
        for mark in item.iter_markers(name):
            if not mark.args or mark.kwargs:
                message = f"{item.nodeid}: @pytest.mark.{name} needs ids and nothing else"
                raise pytest.UsageError(message)
            for entry in mark.args:
                if not isinstance(entry, str) or not pattern.fullmatch(entry):
                    message = f"{item.nodeid}: @pytest.mark.{name}({entry!r}) is no id like {pattern.pattern}"
                    raise pytest.UsageError(message)
                if entry not in seen:
                    seen.add(entry)
                    yield entry


class Catalogue:
    """Collects who shows what, and what became of it; prints the table when ``--security`` was asked for."""

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        self.entries: dict[str, Shown] = {}
        self.shown_by: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Check every marker; with ``--security`` leave out the tests that have none."""
        for item in items:
            if entries := list(ids_of(item)):
                self.shown_by[item.nodeid] = entries
        if not self.alone:
            return
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in self.shown_by])
        items[:] = [item for item in items if item.nodeid in self.shown_by]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the tests that are left after every other selection (``-k``, ``-m``)."""
        for item in session.items:
            for entry in self.shown_by.get(item.nodeid, ()):
                self.entries.setdefault(entry, Shown()).tests.append(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst outcome of a test's three phases, so that a failing teardown counts as a failure."""
        outcome: str = report.outcome
        if outcome == "skipped" and hasattr(report, "wasxfail"):
            outcome = "xfailed"
        for entry in self.shown_by.get(report.nodeid, ()):
            outcomes = self.entries[entry].outcomes
            outcomes[report.nodeid] = min(outcome, outcomes.get(report.nodeid, "passed"), key=OUTCOMES.index)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table: id, number of tests, verdict, and the tests by name."""
        if not self.alone:
            return
        terminalreporter.section("catalogue")
        width = max((len(shown.verdict()) for shown in self.entries.values()), default=0)
        for entry, shown in sorted(self.entries.items()):
            good = set(shown.outcomes.values()) == {"passed"}
            names = sorted({test.rpartition("::")[2].partition("[")[0] for test in shown.tests})
            terminalreporter.write_line(
                f"{entry}  {len(shown.tests):3} {'test ' if len(shown.tests) == 1 else 'tests'}  "
                f"{shown.verdict():{width}}  {', '.join(names)}",
                green=good,
                red=not good,
            )
        unshown = [entry for entry, shown in sorted(self.entries.items()) if "passed" not in shown.outcomes.values()]
        terminalreporter.write_line(f"{len(self.entries)} ids named; not shown by any passing test: {len(unshown)}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--security``."""
    parser.getgroup("catalogue").addoption(
        "--security",
        action="store_true",
        help="run only the tests that name an entry of the security or reliability catalogue; print the table by id",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the collector for this run."""
    config.pluginmanager.register(Catalogue(alone=bool(config.getoption("--security"))), "catalogue-table")
