"""Underlays of both address families, and over IPv6 alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import World, make_world

DUAL = """\
fleet: {name}
lab: {{}}
underlay: {{ ipv4: 10.99.0.0/16, ipv6: "fd42:99::/64" }}
sites: {{ a: {{}}, b: {{}}, office: {{ nat: true, private: [192.168.1.0/24] }} }}
nodes:
  n1: {{ site: a, ssh: "root@203.0.113.1", public: [203.0.113.1, "2001:db8:a::1"] }}
  n2: {{ site: b, ssh: "root@198.51.100.1", public: [198.51.100.1, "2001:db8:b::1"] }}
  n3: {{ site: office, ssh: "root@192.168.1.2", private: [192.168.1.2] }}
"""

ONLY_IPV6 = """\
fleet: {name}
lab: {{}}
underlay: {{ ipv6: "fd42:99::/64" }}
kubernetes: {{ distribution: k3s, pods: ["fd00:42::/56"], services: ["fd00:43::/112"] }}
sites: {{ a: {{ private: ["fd01::/48"] }}, b: {{}}, office: {{ nat: true, private: ["fd02::/64"] }} }}
nodes:
  n1: {{ site: a, ssh: "root@2001:db8:a::1", public: ["2001:db8:a::1"], private: ["fd01::1"] }}
  n2: {{ site: a, ssh: "root@[2001:db8:a::2]:2222", public: ["2001:db8:a::2"], private: ["fd01::2"] }}
  n3: {{ site: b, ssh: "root@2001:db8:b::1", public: ["2001:db8:b::1"] }}
  n4: {{ site: office, ssh: "root@fd02::9", private: ["fd02::9"] }}
"""


@pytest.fixture(params=[DUAL, ONLY_IPV6], ids=["dual stack", "IPv6 alone"])
def world(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[World]:
    made = make_world(tmp_path, request.param)
    try:
        made.run("lab", "up")
        yield made
    finally:
        made.run("lab", "down", expect=None)


def test_the_road_is_the_same(world: World) -> None:
    world.run("apply", "--yes")
    assert world.json("plan")["changes"] == []
    assert world.json("verify")["verdict"] == "holds"


def test_ipv6_addresses_outlive_a_link_flap(world: World) -> None:
    world.run("apply", "--yes")
    world.shell("n1", "ip link set wg0 down; ip link set wg0 up")
    assert world.json("plan")["changes"] == []
    assert world.settles("holds")


def test_ipv6_that_comes_to_a_running_mesh_outlives_a_link_flap(tmp_path: Path) -> None:
    """Only the start of an interface ran the hook that keeps its IPv6 addresses."""
    both = 'ipv4: 10.99.0.0/16, ipv6: "fd42:99::/64"'
    world = make_world(tmp_path, DUAL.replace(both, "ipv4: 10.99.0.0/16"))
    try:
        world.run("lab", "up")
        world.run("apply", "--yes")
        world.edit("ipv4: 10.99.0.0/16", both)
        world.run("apply", "--yes")
        world.shell("n1", "ip link set wg0 down; ip link set wg0 up")
        assert world.json("plan")["changes"] == []
        assert world.settles("holds")
    finally:
        world.run("lab", "down", expect=None)
