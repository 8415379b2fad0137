# ruff: noqa: E501 - a row of a table stays a row
"""What is said about the machines of a cluster."""

from pathlib import Path

import pytest

from tests.intent.files import load, mistakes, whole
from wireloom.errors import Severity, UserError
from wireloom.intent.load import parse_fleet

SITES = "{ a: { private: [10.0.0.0/16] }, b: {}, n: { nat: true }, o: { nat: true }, q: { nat: true, private: [10.1.0.0/16] } }"
PLACES = {
    "a": "site: a, ssh: {name}, public: [203.0.113.{number}], private: [10.0.0.{number}]",
    "b": "site: b, ssh: {name}, public: [198.51.100.{number}]",
    "n": "site: n, ssh: {name}",
    "o": "site: o, ssh: {name}",
    "p": "site: a, ssh: {name}, private: [10.0.0.{number}]",
    "q": "site: q, ssh: {name}, private: [10.1.0.{number}]",
    "export": "site: b, public: [198.51.100.{number}]",
}


def fleet(*members: str, kubernetes: str = "", underlay: str = "ipv4: 10.99.0.0/16") -> str:
    """Members like ``server@a``, ``agent@n`` or ``host@b``, on lines 5 and on; kubernetes on the last one."""
    lines = [f"fleet: t\nunderlay: {{ {underlay} }}\nsites: {SITES}\nnodes:"]
    for number, member in enumerate(members, 1):
        role, _, place = member.partition("@")
        keys = PLACES[place].format(name=f"x{number}", number=number)
        roles = "" if role == "host" else f", roles: [k3s-{role}]"
        lines.append(f"  x{number}: {{ {keys}{roles} }}")
    return "\n".join(lines) + f"\nkubernetes: {{ version: v1.34.2+k3s1{kubernetes} }}\n"


def told(text: str) -> list[str]:
    """``line: what`` of every mistake and every doubt."""
    try:
        found = load(text).warnings
    except UserError as error:
        found = error.diagnostics
    return [f"{one.where.split(':')[1]}: {one.what}" for one in found]


CNI = ", encrypt: cni"
V6 = ", pods: ['fd00:42::/56'], services: ['fd00:43::/112']"

MEMBERS = {
    "one server": (fleet("server@a"), []),
    "three servers, agents, a host, a NAT": (fleet("server@a", "server@b", "server@b", "agent@n", "host@a"), []),
    "no role at all": (fleet("host@a", "host@b"), ["7: no node has a role"]),
    "agents alone": (fleet("agent@a", "agent@b"), ["7: no node is a k3s server, and the agents have none to join"]),
    "two servers": (fleet("server@a", "server@b"), ["6: 2 servers survive the loss of no more of them than 1 does"]),
    "four servers": (fleet(*["server@a"] * 4), ["8: 4 servers survive the loss of no more of them than 3 do"]),
    "no way in": (fleet("server@a", "agent@export"), ["6: `x2` has a role, and no `ssh` by which k3s could be installed on it"]),
    "no way in, and no role": (fleet("server@a", "host@export"), []),
    "a server behind NAT that all can dial from": (fleet("server@n", "agent@a", "agent@b"), []),
    "a server behind NAT, an agent behind another": (
        fleet("server@n", "agent@o", "agent@b"),
        ["5: `x1` (site `n`) and `x2` (site `o`) have no way to each other: nobody dials a node behind NAT from outside",
         "6: `x2` has no way to the k3s server `x1`"],
    ),
    "servers behind two NATs": (
        fleet("server@n", "server@o", "server@b"),
        ["5: `x1` (site `n`) and `x2` (site `o`) have no way to each other: nobody dials a node behind NAT from outside",
         "6: `x2` has no way to the k3s server `x1`"],
    ),
    "agents behind two NATs": (
        fleet("server@a", "agent@n", "agent@o"),
        ["6: `x2` (site `n`) and `x3` (site `o`) have no way to each other: nobody dials a node behind NAT from outside"],
    ),
    "pods of two IPv4 ranges": (fleet("server@a", kubernetes=", pods: [10.42.0.0/16, 10.44.0.0/16], services: [10.43.0.0/16]"), ["6: k3s takes one range of each family for pods, and there are 2", "6: pods have IPv4 and IPv4 addresses, and services IPv4"]),
    "no pods": (fleet("server@a", kubernetes=", pods: []"), ["6: k3s takes one range of each family for pods, and there are none"]),
    "pods of both families, services of one": (fleet("server@a", underlay="ipv4: 10.99.0.0/16, ipv6: 'fd42::/64'", kubernetes=", pods: [10.42.0.0/16, 'fd00:42::/56']"), ["6: pods have IPv4 and IPv6 addresses, and services IPv4"]),
    "the other way round": (fleet("server@a", underlay="ipv4: 10.99.0.0/16, ipv6: 'fd42::/64'", kubernetes=", pods: [10.42.0.0/16, 'fd00:42::/56'], services: ['fd00:43::/112', 10.43.0.0/16]"), ["6: pods have IPv4 and IPv6 addresses, and services IPv6 and IPv4"]),
    "pods of the second family": (fleet("server@a", underlay="ipv4: 10.99.0.0/16, ipv6: 'fd42::/64'", kubernetes=", pods: ['fd00:42::/56'], services: ['fd00:43::/112']"), []),
    "an underlay of IPv6 alone": (fleet("server@a", underlay="ipv6: 'fd42::/64'"), ["6: pods have IPv4 addresses, and the underlay IPv6"]),
    "pods of a family that the underlay lacks": (fleet("server@a", kubernetes=", pods: [10.42.0.0/16, 'fd00:42::/56'], services: [10.43.0.0/16, 'fd00:43::/112']"), ["6: pods have IPv4 and IPv6 addresses, and the underlay IPv4"]),
    "pods for two": (fleet("server@a", "agent@a", "agent@b", kubernetes=", pods: [10.42.0.0/23]"), ["8: 10.42.0.0/23 has room for the pods of 2 machines (/24 each), of 3"]),
    "pods for nobody": (fleet("server@a", kubernetes=", pods: [10.42.0.0/25]"), ["6: 10.42.0.0/25 has room for the pods of 0 machines (/24 each), of 1"]),
    "a bad range is told once": (fleet("server@a", kubernetes=", pods: [10.42.0.1/16]"), ["6: `10.42.0.1/16` is an address in a range, not a range"]),
    "one private network, no underlay": (fleet("server@p", "server@p", "server@p", "agent@p", kubernetes=CNI), []),
    "one private network behind NAT": (fleet("server@q", "agent@q", kubernetes=CNI), []),
    "one private network of a family that pods have not": (fleet("server@p", "agent@p", kubernetes=CNI + V6), ["5: `x1` has no public IPv6 address", "6: `x2` has no public IPv6 address"]),
    "across clouds": (fleet("server@a", "server@a", "server@a", "agent@b", kubernetes=CNI), []),
    "one site of public addresses": (fleet("server@b", "agent@b", kubernetes=CNI), []),
    "etcd across clouds": (fleet("server@a", "server@b", "server@b", kubernetes=CNI), ["6: the k3s server `x2` is in another site than `x1`, and so its etcd"]),
    "etcd across clouds, in a database": (fleet("server@a", "server@b", kubernetes=CNI + ", datastore: external"), []),
    "etcd across clouds, on an underlay": (fleet("server@a", "server@b", "server@b", kubernetes=", encrypt: both"), []),
    "two servers with a database": (fleet("server@a", "server@b", kubernetes=", datastore: external"), []),
    "NAT across clouds": (fleet("server@a", "agent@q", kubernetes=CNI), ["6: `x2` is behind NAT, and wireguard-native dials every machine"]),
    "NAT outside the cluster": (fleet("server@a", "host@n", kubernetes=CNI), []),
    "NAT on an underlay": (fleet("server@a", "agent@n", kubernetes=", encrypt: both"), []),
    "flannel's port on the underlay": (fleet("server@a", kubernetes=", encrypt: both", underlay="ipv4: 10.99.0.0/16, port: 51831"), ["2: port 51831 is that of flannel's WireGuard beside the underlay's"]),
    "flannel's port without another layer": (fleet("server@a", underlay="ipv4: 10.99.0.0/16, port: 51831"), []),
    "a bad node may have been the server": (fleet("agent@a", "server@b").replace("public: [198.51.100.2]", "public: [x]"), ["6: `x` is not an IP address"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MEMBERS.values(), ids=MEMBERS)
def test_the_machines_of_a_cluster(text: str, expected: list[str]) -> None:
    assert told(text) == expected


def test_an_even_number_of_servers_is_a_doubt() -> None:
    assert [one.severity for one in load(fleet("server@a", "server@b")).warnings] == [Severity.WARNING]


WRONG = fleet("agent@a", "agent@export", kubernetes=", pods: [10.42.0.0/25]")


def test_somebody_elses_cluster_is_not_judged() -> None:
    assert mistakes(WRONG) != ()
    assert mistakes(WRONG.replace("version: v1.34.2+k3s1, ", "")) == ()


def test_who_only_thinks_about_it_is_let_think() -> None:
    assert parse_fleet(WRONG.encode(), Path("fleet.yaml"), ahead=True).warnings == ()


def test_the_mirror_is_taken_without_the_slash_at_its_end() -> None:
    kubernetes = load(whole("k3s.example/releases", "[2001:db8::1]:8080/k3s/")).fleet.kubernetes
    assert kubernetes is not None
    assert kubernetes.mirror == "https://[2001:db8::1]:8080/k3s"


def test_a_secret_in_a_mirror_is_not_shown() -> None:
    for url in ("https://u:secret@k3s.example", "https://k3s.example/?token=secret"):
        [found] = mistakes(whole("https://k3s.example/releases", url))
        assert "secret" not in found.what + found.hint


def test_what_the_file_leaves_out() -> None:
    kubernetes = load(fleet("server@a")).fleet.kubernetes
    assert kubernetes is not None
    assert (kubernetes.public_api, kubernetes.protected) == (False, False)
    assert kubernetes.mirror == "https://github.com/k3s-io/k3s/releases/download"


JUDGED = {
    "etcd across clouds": (fleet("server@a", "server@b", "server@b", kubernetes=CNI), "docs.k3s.io/networking/distributed-multicloud"),
    "NAT across clouds": (fleet("server@a", "agent@q", kubernetes=CNI), "k3s issue 9535"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "source"), JUDGED.values(), ids=JUDGED)
def test_what_k3s_can_not_do_is_told_with_its_source_whoever_installs_it(text: str, source: str) -> None:
    for by_whom in (text, text.replace("version: v1.34.2+k3s1, ", "")):
        [found] = [one for one in mistakes(by_whom) if one.severity is Severity.ERROR]
        assert source in found.hint


def test_nothing_to_build_is_a_doubt() -> None:
    text = fleet("server@p", kubernetes=CNI).replace("version: v1.34.2+k3s1, ", "")
    assert told(text) == [
        "6: without an underlay and without `version` there is nothing to build for wireloom"
    ]
