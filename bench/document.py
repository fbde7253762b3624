"""Measured tables in the documentation: Markdown made from earlier runs' JSON files, put in place between two marks.

A document says where a benchmark's tables go by `<!-- bench NAME -->` and, below, `<!-- end -->`, each on a line of its
own; whatever stands between them is replaced, and what people wrote around it stays.
Called by `python -m bench markdown`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.results import Record

_PLACE = re.compile(r"^<!-- bench (?P<name>[\w-]+) -->\n(?P<between>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)


class PlaceError(Exception):
    """A document has no place for a benchmark's tables; the text names both."""


def markdown(record: Record) -> str:
    """The tables of one run, and under which circumstances they came about."""
    machine = record.machine
    where = f"{machine.cpu}, {machine.cores} cores, {machine.system}, Python {machine.python}"
    tables = [table.markdown() for table in record.tables]
    return "\n".join([f"Measured on {record.at:%Y-%m-%d}: {where}.", "", *tables])


def fill_in(document: str, records: Sequence[Record], name: str) -> str:
    """The document with each record's tables in place. Raises `PlaceError`, naming the document, if one has none."""
    places = {place["name"] for place in _PLACE.finditer(document)}
    tables = {record.benchmark: markdown(record) for record in records}
    for benchmark in tables.keys() - places:
        raise PlaceError(f"{name} has no lines <!-- bench {benchmark} --> and <!-- end -->")

    def filled(place: re.Match[str]) -> str:
        benchmark = place["name"]
        between = f"\n{tables[benchmark]}\n" if benchmark in tables else place["between"]
        return f"<!-- bench {benchmark} -->\n{between}<!-- end -->"

    return _PLACE.sub(filled, document)


def fill_in_file(path: Path, records: Sequence[Record]) -> None:
    """Rewrite a document in place. Raises `PlaceError` and then changes nothing."""
    path.write_text(fill_in(path.read_text(encoding="utf-8"), records, path.name), encoding="utf-8")
