"""A machine in two fleets, an interface for each: neither takes away what is the other's."""

from pathlib import Path

import pytest

from tests.machines.machines import Machines

STORE = """\
fleet: store
underlay: { ipv4: 10.88.0.0/16, interface: wg1, port: 51821, guard: false }
sites: { ams: {} }
nodes:
  east: { site: ams, ssh: root@203.0.113.1, public: [203.0.113.1] }
  west: { site: ams, ssh: edge-of-town, public: [203.0.113.4] }
"""


@pytest.fixture(scope="module")
def store(fleet: Machines) -> Path:
    """The other fleet's file: two of the machines are in the first one, too, which has the guard."""
    fleet.operator.run("apply", "--yes")
    file = fleet.operator.home / "store.yaml"
    file.write_text(STORE)
    return file


def test_a_second_guard_is_refused(fleet: Machines, store: Path) -> None:
    guarded = store.with_name("guarded.yaml")
    guarded.write_text(STORE.replace(", guard: false", ""))
    refused = fleet.operator.run("-f", str(guarded), "plan", "--yes", expect=1).stderr
    assert "east, west: error: it is in the fleet `real`, too, on wg0, and a machine has one guard" in refused
    assert "write `guard: false` under `underlay:` in this file" in refused


def test_each_is_whole_and_has_nothing_to_do(fleet: Machines, store: Path) -> None:
    kept = fleet["alpha"].run("nft", "-s", "list", "table", "inet", "wireloom")
    fleet.operator.run("-f", str(store), "apply", "--yes")
    assert kept == fleet["alpha"].run("nft", "-s", "list", "table", "inet", "wireloom")
    for words in ((), ("-f", str(store))):
        fleet.operator.run(*words, "plan")
        fleet.operator.run(*words, "verify", "--quick")


def test_another_port_beside_the_guard_is_refused(fleet: Machines, store: Path) -> None:
    """What hears both ports for a while would take the place of the guard."""
    store.write_text(STORE.replace("51821", "51831"))
    refused = fleet.operator.run("-f", str(store), "plan", expect=1).stderr
    assert "another port needs the table of that one's guard" in refused


def test_one_of_them_goes_and_the_other_stays(fleet: Machines, store: Path) -> None:
    store.write_text(STORE)
    for words, name in ((("-f", str(store)), "store"), ((), "real")):
        fleet.operator.run("-f", str(store), "apply", "--yes")
        fleet.operator.run("apply", "--yes")
        fleet.operator.run(*words, "uninstall", "--yes-i-mean", name)
        other = () if words else ("-f", str(store))
        fleet.operator.run(*other, "plan")
        fleet.operator.run(*other, "verify", "--quick")
    left = fleet["alpha"].shell("ls -A /etc/wireguard /var/lib/wireloom; nft list tables")
    assert "wg0" not in left
    assert "wg1.conf" in left
    assert "wireloom\n" not in left.replace("/wireloom", "")
