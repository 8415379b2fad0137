"""What is there to be copied: alerts, dashboard, unit; checked by the programs that will read them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.exporter.conftest import Promtool
from tests.exporter.samples import SNAPSHOT, UNVERIFIED
from wireloom.exporter.metrics import METRICS, render
from wireloom.exporter.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
CONTRIB = ROOT / "contrib"
RULES = CONTRIB / "prometheus" / "wireloom.rules.yml"
UNIT = CONTRIB / "systemd" / "wireloom-exporter.service"
RULES_TESTS = CONTRIB / "prometheus" / "wireloom.rules.test.yml"
DASHBOARD = json.loads((CONTRIB / "grafana" / "wireloom.json").read_text())
PAGE = (ROOT / "docs" / "monitoring.md").read_text()

EXPORTED = {metric.name: metric for metric in METRICS}
NAME = re.compile(r"\bwireloom_[a-z_]+")


@pytest.mark.parametrize("snapshot", [SNAPSHOT, UNVERIFIED, None], ids=["verified", "unverified", "before"])
@pytest.mark.parametrize("per_peer", [True, False], ids=["per peer", "per node"])
def test_promtool_has_nothing_to_say_of_the_metrics(
    snapshot: Snapshot | None, per_peer: bool, promtool: Promtool
) -> None:
    done = promtool("check", "metrics", stdin=render(snapshot, per_peer=per_peer))
    assert done.stdout + done.stderr == ""


def test_promtool_reads_the_rules(promtool: Promtool) -> None:
    assert f"{len(list(alerts()))} rules found" in promtool("check", "rules", str(RULES)).stdout


def test_the_rules_pass_their_tests(promtool: Promtool) -> None:
    assert "SUCCESS" in promtool("test", "rules", str(RULES_TESTS)).stdout


def alerts() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from group["rules"]


def test_every_alert_is_tested_and_documented() -> None:
    names = {alert["alert"] for alert in alerts()}
    tested = RULES_TESTS.read_text()
    assert [name for name in names if name not in tested] == []
    assert set(re.findall(r"^\| `(Wireloom\w+)` \|", PAGE, re.MULTILINE)) == names


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> Iterator[str]:
    """What the panels ask for, with the dashboard's variables put in."""
    for panel in panels():
        for target in panel.get("targets", []):
            yield target["expr"].replace("$fleet", "shop|lab").replace("$node", ".*")


def test_promtool_understands_what_the_dashboard_asks_for(promtool: Promtool, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(expressions())]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert len(rules) > 20
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(path)).stdout


USERS = {
    "the alerts": "\n".join(str(alert["expr"]) for alert in alerts()),
    "their tests": RULES_TESTS.read_text(),
    "the dashboard": "\n".join([*expressions(), json.dumps(DASHBOARD["templating"])]),
    "the documentation": PAGE,
}


@pytest.mark.parametrize("text", USERS.values(), ids=USERS)
def test_every_metric_that_is_used_is_exported(text: str) -> None:
    used = set(NAME.findall(text)) - {"wireloom_build_info"}
    assert used
    assert used <= set(EXPORTED)


def test_every_metric_is_in_the_documentation() -> None:
    told = {
        name: set(re.findall(r"`([a-z]+)`", labels))
        for name, labels in re.findall(r"^\| `(wireloom_\w+)` \| ([^|]*) \|", PAGE, re.MULTILINE)
    }
    assert told.pop("wireloom_build_info") == {"version"}
    assert told == {name: set(metric.labels) for name, metric in EXPORTED.items()}


def test_systemd_understands_the_unit_and_finds_it_well_enclosed(tmp_path: Path) -> None:
    """Which begins a program that is there; an exposure of 2.0 is what it calls OK."""
    if shutil.which("systemd-analyze") is None and not os.environ.get("CI"):
        pytest.skip("systemd-analyze is missing")
    unit = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert "ExecStart=/usr/local/bin/wireloom " in text
    unit.write_text(text.replace("/usr/local/bin/wireloom", sys.executable))
    for words in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run(
            ["systemd-analyze", "--no-pager", *words, str(unit)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""


def test_the_dashboard_works_with_any_data_source() -> None:
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(DASHBOARD))
    assert set(sources) == {"${datasource}", "wireloom"}
    assert {one["name"] for one in DASHBOARD["templating"]["list"]} == {"datasource", "fleet", "node"}


def test_no_panel_is_drawn_over_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in panels()}) == len(list(panels()))
