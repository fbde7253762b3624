"""Dashboard and alerts name only what is measured, and every alert leads to a section of the runbook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import doc_tables
from tests.test_docs import _anchors

ROOT = Path(__file__).parent.parent
RULES = ROOT / "config" / "alerts.yaml"
DASHBOARD = ROOT / "config" / "grafana-dashboard.json"
OUTSIDE = {"up"}
"""What Prometheus itself measures of whatever it asks."""

Json = dict[str, Any]


@pytest.fixture
async def measured() -> set[str]:
    """The name of every series that a server can have."""
    async with doc_tables.unstarted_server() as server:
        names = set()
        for line in server.core.metrics.text().decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                more = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
                names |= {f"{name}{end}" for end in more}
        return names


def named(expression: str) -> set[str]:
    """The series that an expression reads."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\b(?:by|without)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"[a-zA-Z_:][\w:]*(?!\w*\s*\()", bare)
    return {word for word in words if "_" in word or word == "up"} - {"histogram_quantile", "label_values"}


def panels() -> list[Json]:
    dashboard: Json = json.loads(DASHBOARD.read_text())
    return [each for each in dashboard["panels"] if each["type"] != "row"]


def expressions() -> Iterator[str]:
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]


def rules() -> list[Json]:
    groups: list[Json] = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_names_in_an_expression_are_found() -> None:
    expression = 'sum by (le, some_label) (rate(a_total{b_c="d_e"}[5m])) / on () up > predict_linear(g_bytes[6h], 1)'
    assert named(expression) == {"a_total", "up", "g_bytes"}


def test_every_panel_shows_something_that_is_measured(measured: set[str]) -> None:
    for expression in expressions():
        assert named(expression), expression
        assert named(expression) <= measured | OUTSIDE, expression


def test_every_metric_of_ours_is_on_the_dashboard(measured: set[str]) -> None:
    shown = set().union(*map(named, expressions()))
    missing = {
        name
        for name in measured
        if name.startswith("push_service_") and not name.endswith(("_created", "_sum", "_count", "_bucket"))
    } - shown
    assert not missing


def test_the_dashboard_is_one_that_can_be_imported() -> None:
    dashboard: Json = json.loads(DASHBOARD.read_text())
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= dashboard.keys()
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
    for expression in expressions():
        assert set(re.findall(r"\$(\w+)", expression)) <= variables | {"__rate_interval"}


def test_every_alert_reads_what_is_measured_and_leads_to_the_runbook(measured: set[str]) -> None:
    anchors = _anchors((ROOT / "docs" / "operations.md").read_text())
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 0
    for rule in rules():
        assert named(rule["expr"]), rule["alert"]
        assert named(rule["expr"]) <= measured | OUTSIDE, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"].endswith(".")
        document, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert document == "docs/operations.md"
        assert anchor in anchors, f"{rule['alert']} leads to #{anchor}"


def test_prometheus_takes_the_rules() -> None:
    """Where its tool is installed; elsewhere the shape of the file is all that can be said."""
    promtool = shutil.which("promtool")
    if promtool is None:
        assert all({"alert", "expr", "labels", "annotations"} <= rule.keys() for rule in rules())
        return
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
