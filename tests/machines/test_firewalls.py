"""The guard on machines that have a firewall of their own: ufw, firewalld, nftables.service.

Each of the three closes all but SSH and, as the documentation says, what the mesh needs. ``bare`` has none.
It is behind NAT: it only dials, and nobody's own dialling opens a way for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.machines.conftest import SKIP
from tests.machines.firewalls import (
    FIREWALLS,
    LOAD_GUARD,
    OWN_TABLE,
    SLOW,
    add_server,
    find_firewalls_recipe,
    is_answered,
    is_heard,
    read_guard,
)
from tests.machines.machine import Machine
from tests.machines.machines import Machines, machines
from tests.machines.patience import wait_for
from tests.machines.suite import provide

FLEET = """\
fleet: walls
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: {}, office: { nat: true } }
nodes:
  bare: { site: office, ssh: root@203.0.113.1 }
  ufw: { site: fsn, ssh: root@203.0.113.2, public: [203.0.113.2] }
  firewalld: { site: fsn, ssh: root@203.0.113.3, public: [203.0.113.3] }
  nftables: { site: fsn, ssh: root@203.0.113.4, public: [203.0.113.4] }
"""
INSIDE = {"ufw": "10.99.0.2", "firewalld": "10.99.0.3", "nftables": "10.99.0.4"}

STAYS = {
    "ufw": ("ufw reload", "ufw disable && ufw --force enable", "systemctl restart ufw"),
    "firewalld": (
        "firewall-cmd --reload",
        "firewall-cmd --complete-reload",
        "systemctl restart firewalld",
        "systemctl stop firewalld && systemctl start firewalld",
    ),
}


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Machines whose firewalls let in SSH alone; nothing applied yet."""
    image = provide(find_firewalls_recipe(), skip=SKIP, beside="firewalls")
    with machines(["bare", *FIREWALLS], image=image, directory=tmp_path_factory.mktemp("walls")) as group:
        group.operator.fleet_file.write_text(FLEET)
        for machine in group:
            add_server(machine)
        for name, firewall in FIREWALLS.items():
            group[name].shell(firewall.start)
        yield group


@pytest.fixture(scope="module")
def applied(walled: Machines) -> Machines:
    """The mesh up, the firewalls told about it as the documentation says."""
    for name, firewall in FIREWALLS.items():
        walled[name].shell(firewall.let_in)
    walled.operator.run("apply", "--yes")
    return walled


@pytest.fixture
def beside(applied: Machines) -> Iterator[Machines]:
    """The same, mended after a test."""
    yield applied
    applied["bare"].shell("for n in 2 3 4; do ip route del 10.99.0.$n/32 2>/dev/null; done; :")
    applied.operator.run("apply", "--yes")


def test_whom_a_closed_port_keeps_out_is_told_and_all_is_taken_back(walled: Machines) -> None:
    told = walled.operator.run("apply", "--yes", "--confirm-within", "12s", expect=1).stdout
    closed = ", ".join(f"{name} ({address})" for name, address in INSIDE.items())
    assert f"bare failed at prove: no answer over the underlay from {closed}\n" in told
    assert {walled[name].run("wg", "show", "wg0", "peers") for name in INSIDE} == {""}


def test_the_mesh_comes_up_and_nothing_is_left_to_do(applied: Machines) -> None:
    assert (applied.operator.settles("holds"), applied.operator.changes()) == (True, [])
    assert all(read_guard(machine) for machine in applied)


def comes_into_force(group: Machines, name: str) -> bool:
    """Whether a firewall closes the port outside, and lets in what comes by the mesh.

    firewalld loads its rules a moment after its unit has started.
    """
    bare, outside = group["bare"], str(group[name].address.ip)
    return wait_for(
        lambda: not is_answered(bare, outside) and is_answered(bare, INSIDE[name]),
        lambda: group[name].run("nft", "list", "ruleset"),
    )


@pytest.mark.parametrize("name", FIREWALLS)
def test_what_the_firewall_closes_stays_closed(beside: Machines, name: str) -> None:
    assert comes_into_force(beside, name)
    beside[name].run("systemctl", "stop", FIREWALLS[name].unit)
    outside = str(beside[name].address.ip)
    wait_for(
        lambda: is_answered(beside["bare"], outside),
        lambda: "not the firewall, but something else keeps it closed",
    )
    beside[name].run("systemctl", "start", FIREWALLS[name].unit)


@pytest.mark.parametrize("name", FIREWALLS)
def test_cleartext_does_not_come_in_which_the_firewall_would_let_in(beside: Machines, name: str) -> None:
    bare, address = beside["bare"], INSIDE[name]
    bare.run("ip", "route", "add", f"{address}/32", "via", str(beside[name].address.ip), "src", "203.0.113.1")
    bare.run("nft", "delete", "table", "inet", "wireloom")
    assert not is_heard(bare, address)
    beside[name].run("nft", "delete", "table", "inet", "wireloom")
    wait_for(lambda: is_heard(bare, address), lambda: "not the guard, but something else keeps it out")


@pytest.mark.parametrize("name", STAYS)
def test_what_is_done_to_the_firewall_leaves_the_guard_alone(applied: Machines, name: str) -> None:
    machine = applied[name]
    guard = read_guard(machine)
    after = {script: (machine.shell(script), read_guard(machine))[1] for script in STAYS[name]}
    assert "chain leaving" in guard
    assert after == dict.fromkeys(STAYS[name], guard)
    assert comes_into_force(applied, name)
    assert applied.operator.changes() == []


@pytest.mark.parametrize("verb", ["reload", "restart"])
def test_a_ruleset_that_is_flushed_is_drift_and_mended(beside: Machines, verb: str) -> None:
    machine = beside["nftables"]
    machine.run("systemctl", verb, "nftables")
    assert read_guard(machine) == ""
    assert beside.operator.changes() == [("nftables", "create", "table inet wireloom")]
    beside.operator.run("apply", "--yes")
    assert beside.operator.changes() == []
    assert comes_into_force(beside, "nftables")


def test_the_guard_is_loaded_by_hand_as_documented(beside: Machines) -> None:
    machine = beside["nftables"]
    before = read_guard(machine)
    machine.run("systemctl", "restart", "nftables")
    machine.shell(LOAD_GUARD)
    assert read_guard(machine) == before
    assert beside.operator.changes() == []


@contextmanager
def kept(machine: Machine, path: str) -> Iterator[None]:
    """A file is changed for as long as the block lasts."""
    text = machine.run("cat", path)
    try:
        yield
    finally:
        machine.write(path, text)


def test_a_file_that_takes_away_its_own_table_alone_leaves_the_guard(beside: Machines) -> None:
    machine = beside["nftables"]
    before = read_guard(machine)
    with kept(machine, "/etc/nftables.conf"):
        machine.shell(OWN_TABLE)
        machine.run("systemctl", "reload", "nftables")
        assert read_guard(machine) == before
        assert machine.run("nft", "list", "chain", "inet", "filter", "input").count("51820") == 1
        assert comes_into_force(beside, "nftables")


@pytest.mark.parametrize("name", FIREWALLS)
def test_whoever_speaks_first_is_not_heard_where_the_port_is_closed(beside: Machines, name: str) -> None:
    """Unless the firewall takes it for an answer, which it does for two minutes after the last packet."""
    machine, bare = beside[name], beside["bare"]
    wait_for(lambda: is_heard(bare, INSIDE[name]), lambda: "not even before")
    machine.shell(f"{FIREWALLS[name].close}; conntrack -F")
    try:
        assert not is_heard(bare, INSIDE[name])
        wait_for(
            lambda: is_heard(machine, "10.99.0.1") and is_heard(bare, INSIDE[name]),
            lambda: "not as an answer",
        )
    finally:
        machine.shell(FIREWALLS[name].let_in)


def test_after_a_reboot_all_is_there_however_slow_the_firewall_is(beside: Machines) -> None:
    for name, firewall in FIREWALLS.items():
        beside[name].write(f"/etc/systemd/system/{firewall.unit}.service.d/slow.conf", SLOW)
    before = {machine.name: read_guard(machine) for machine in beside}
    beside.reboot()
    assert {machine.name: read_guard(machine) for machine in beside} == before
    assert beside.operator.settles("holds")
    assert beside.operator.changes() == []
    assert [name for name in FIREWALLS if comes_into_force(beside, name)] == list(FIREWALLS)
