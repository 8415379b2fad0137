"""``wireloom k3s status`` as a user has it."""

import json
from pathlib import Path

import pytest

from tests.cli.cluster import FLEET, answer_for, see, write_fleet
from tests.cluster.samples import away, cluster_of
from wireloom.cli.main import run
from wireloom.transport.port import Completed

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def fleet(here: Path) -> Path:
    return write_fleet(here)


def test_all_is_well(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    see(monkeypatch, cluster_of())
    assert run(["k3s", "status", "-q"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "cp3: the cluster has it at 10.99.0.4, and the fleet at 10.99.0.3" in printed.out


@pytest.mark.parametrize("seen", [cluster_of({"w1": away("w1")}), cluster_of(told_by=None)])
def test_who_could_not_be_looked_at_makes_the_exit_code_1(
    seen: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, seen)  # type: ignore[arg-type]
    assert run(["k3s", "status"]) == 1


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    see(monkeypatch, cluster_of())
    assert run(["k3s", "status", "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["told_by"], len(document["nodes"])) == (1, "cp1", 4)


def test_machines_that_say_nothing_sensible_are_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    fake = answer_for(monkeypatch, "wireloom.cli.cluster.ground", {"cp1": lambda _: Completed(0, "?", "")})
    assert run(["k3s", "status", "-q"]) == 1
    told = capsys.readouterr().out
    assert "cp1: the answer was cut short" in told
    assert "No server tells of the cluster." in told
    assert {name for name, _ in fake.scripts} == {"cp1"}


def test_a_fleet_without_a_cluster_of_wireloom(fleet: Path, capsys: Printed) -> None:
    fleet.write_text(FLEET.partition("kubernetes:")[0])
    assert run(["k3s", "status"]) == 1
    assert "fleet.yaml: error: wireloom makes no cluster of this fleet" in capsys.readouterr().err
