"""Machines with IPv6 addresses alone: not one of IPv4 is anywhere but on the loopback interfaces."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines.machines import NETWORK6, Machines, machines

FLEET = """\
fleet: six
underlay: { ipv6: "fd42:99::/64" }
sites: { fsn: {}, ams: {} }
nodes:
  cp1: { site: fsn, ssh: "root@2001:db8::1", public: ["2001:db8::1"] }
  w1: { site: fsn, ssh: "root@[2001:db8::2]:2222", public: ["2001:db8::2"] }
  db1:
    site: ams
    ssh: { host: "2001:db8::3", jump: cp1, user: deploy, sudo: true }
    public: ["2001:db8::3"]
"""


@pytest.fixture(scope="module")
def six(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Three machines with the mesh up: one listens on another port, one is reached through another."""
    names, directory = ("alpha", "beta", "gamma"), tmp_path_factory.mktemp("six")
    with machines(names, image=image, directory=directory, ports={"beta": 2222}, network=NETWORK6) as group:
        group["gamma"].add_user("deploy")
        group.detour("gamma")
        group.operator.fleet_file.write_text(FLEET)
        group.operator.run("apply", "--yes")
        yield group


def test_the_mesh_is_proven_and_nothing_is_left_to_do(six: Machines) -> None:
    assert six.operator.settles("holds")
    assert six.operator.changes() == []


def test_there_is_no_ipv4_address_but_loopback(six: Machines) -> None:
    look = "ip -4 -o address | awk '{ print $2, $4 }'"
    assert [machine.shell(look) for machine in six] == ["lo 127.0.0.1/8\n"] * 3
    assert six.space.run("sh", "-c", look) == "lo 127.0.0.1/8\n"


def test_ssh_came_over_ipv6(six: Machines) -> None:
    seen = six["alpha"].run("journalctl", "-o", "cat", "-u", "ssh", "-g", "Accepted publickey")
    assert {line.split(" from ")[1].split()[0] for line in seen.splitlines()} == {str(NETWORK6[-2])}


def test_only_without_the_guard_an_address_of_the_fleet_answers_beside_the_tunnel(six: Machines) -> None:
    beside = ("ping", "-c", "1", "-W", "1", "fd42:99::1")
    six["beta"].run("ip", "route", "add", "fd42:99::1", "via", "2001:db8::1", "src", "2001:db8::2")
    six["beta"].run(*beside, expect=1)
    for machine in six:
        machine.run("nft", "delete", "table", "inet", "wireloom")
    six["beta"].run(*beside)
    six["beta"].run("ip", "route", "del", "fd42:99::1")
    six.operator.run("apply", "--yes")
    assert six.operator.settles("holds")


def test_all_machines_reboot_at_once_and_the_mesh_is_back(six: Machines) -> None:
    six.reboot()
    assert six.operator.settles("holds")
    assert six.operator.changes() == []
