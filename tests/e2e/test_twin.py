"""``--lab``: a real fleet's twin, which must not touch anything that is the real fleet's."""

from collections.abc import Iterator

import pytest

from tests.e2e.world import World, make_world

REAL = """\
fleet: {name}
underlay: {{ ipv4: 10.99.0.0/16 }}
sites: {{ a: {{}}, b: {{}} }}
ssh: {{ user: deploy, sudo: true }}
nodes:
  n1: {{ site: a, ssh: "127.0.0.1:1", public: [203.0.113.1] }}
  n2: {{ site: b, ssh: "127.0.0.2:1", public: [198.51.100.1] }}
"""


@pytest.fixture
def twin(tmp_path: object) -> Iterator[World]:
    made = make_world(tmp_path, REAL)
    try:
        made.run("lab", "up")
        yield made
    finally:
        made.run("lab", "down", expect=None)


def test_every_verb_runs_against_the_twin(twin: World) -> None:
    twin.run("--lab", "plan", expect=2)
    twin.run("apply", "--lab", "--yes")
    assert twin.json("--lab", "verify")["verdict"] == "holds"
    assert twin.json("--lab", "status")["nodes"][0]["state"] == "up"
    assert not (twin.directory / "fleet.lock").exists()
    assert twin.lock_file.exists()


def test_without_the_flag_the_lab_is_not_dialled(twin: World) -> None:
    away = twin.json("plan", expect=1)
    assert away["changes"] == []
    assert {one["node"] for one in away["unreachable"]} | {one["where"] for one in away["refusals"]} == {
        "n1",
        "n2",
    }
