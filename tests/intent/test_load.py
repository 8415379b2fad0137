# ruff: noqa: E501 - a row of a table stays a row
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from tests.intent.files import EXAMPLE, WHOLE, load, mistakes, nodes, whole
from wireloom.errors import Severity, UserError
from wireloom.intent.fleet import Fleet, Kubernetes, Node, Site, Underlay
from wireloom.intent.load import load_fleet, parse_fleet
from wireloom.values import NodeName, SiteName, SshTarget


def test_every_key_reaches_the_fleet() -> None:
    fsn, office, cp1, w1 = SiteName("fsn"), SiteName("office"), NodeName("cp1"), NodeName("w1")
    expected = Fleet(
        name="shop",
        underlay=Underlay(
            interface="wg7",
            port=51821,
            ipv4=IPv4Network("10.99.0.0/16"),
            ipv6=IPv6Network("fd42:99::/64"),
            mtu=1400,
        ),
        sites={
            fsn: Site(fsn, (IPv4Network("10.0.0.0/16"), IPv6Network("fd00:1::/64"))),
            office: Site(office, nat=True),
        },
        nodes={
            cp1: Node(
                cp1,
                fsn,
                SshTarget("203.0.113.10", port=22, user="root"),
                public=(IPv4Address("203.0.113.10"), IPv6Address("2001:db8::10")),
                private=(IPv4Address("10.0.0.2"),),
                roles=("k3s-server",),
            ),
            w1: Node(
                w1,
                office,
                SshTarget("10.8.0.5", port=2222, user="deploy", jump="cp1", sudo=True, identity="~/.ssh/id"),
                public=(IPv4Address("198.51.100.7"),),
                nat=False,
            ),
        },
        lab=True,
        kubernetes=Kubernetes(
            "k3s",
            "v1.34.2+k3s1",
            "flannel",
            "underlay",
            (IPv4Network("10.44.0.0/16"),),
            (IPv4Network("10.45.0.0/16"),),
            public_api=True,
            mirror="https://k3s.example/releases",
            protected=True,
        ),
        path=Path("fleet.yaml"),
    )
    assert expected == load(WHOLE).fleet


def test_defaults_stand_for_what_is_left_out() -> None:
    fleet = load(nodes("x: { site: a, public: [192.0.2.1] }")).fleet
    assert Underlay("wg0", 51820, IPv4Network("10.99.0.0/24"), None, None) == fleet.underlay
    assert (
        Node(NodeName("x"), SiteName("a"), public=(IPv4Address("192.0.2.1"),)) == fleet.nodes[NodeName("x")]
    )
    assert (fleet.lab, fleet.kubernetes) == (False, None)


def test_an_underlay_that_is_not_made_may_be_left_out() -> None:
    text = nodes("x: { site: a, public: [192.0.2.1] }") + "kubernetes: { encrypt: cni }\n"
    fleet = load(text.replace("underlay: { ipv4: 10.99.0.0/24 }\n", "")).fleet
    assert Underlay("wg0", 51820, None, None) == fleet.underlay
    assert (fleet.has_underlay, fleet.underlay.ranges) == (False, ())


def test_k3s_ranges_are_the_default_of_a_cluster() -> None:
    text = nodes("x: { site: a, public: [192.0.2.1] }") + "kubernetes: {}\n"
    expected = Kubernetes(pods=(IPv4Network("10.42.0.0/16"),), services=(IPv4Network("10.43.0.0/16"),))
    assert expected == load(text).fleet.kubernetes


def test_nodes_keep_the_order_of_the_file() -> None:
    text = nodes(*(f"{n}: {{ site: a, public: [192.0.2.{i}] }}" for i, n in enumerate("zay", 1)))
    assert list(load(text).fleet.nodes) == ["z", "a", "y"]


SPECIAL_NAMES = ["no", "null", "true", "1", "1e3", "0x1f"]


@pytest.mark.parametrize("name", SPECIAL_NAMES)
def test_a_name_is_a_name_whatever_yaml_takes_it_for(name: str) -> None:
    assert [name] == list(load(nodes(f"{name}: {{ site: a, public: [192.0.2.1] }}")).fleet.nodes)


NAT = {
    "from the site": ("x: { site: n }", True),
    "a node may open up": ("x: { site: n, nat: false, public: [192.0.2.9] }", False),
    "a node may close": ("x: { site: a, nat: true }", True),
    "null says nothing": ("x: { site: n, nat: }", True),
}


@pytest.mark.parametrize(("node", "expected"), NAT.values(), ids=NAT)
def test_nat_is_the_nodes_or_its_sites(node: str, expected: bool) -> None:
    fleet = load(nodes(node, "y: { site: a, public: [192.0.2.1] }")).fleet
    assert expected is fleet.nodes[NodeName("x")].nat


SSH = {
    "host": ("h", "{}", SshTarget("h")),
    "user and host": ("u@h", "{}", SshTarget("h", user="u")),
    "all": ("u@h.example:2222", "{}", SshTarget("h.example", 2222, "u")),
    "IPv6 alone": ('"2001:DB8::1"', "{}", SshTarget("2001:db8::1")),
    "IPv6 in brackets": ('"[2001:db8::1]"', "{}", SshTarget("2001:db8::1")),
    "IPv6 and port": ('"u@[2001:db8::1]:22"', "{}", SshTarget("2001:db8::1", 22, "u")),
    "a host called null": ("null@null", "{}", SshTarget("null", user="null")),
    "mapping": ("{ host: h, identity: ~/k }", "{}", SshTarget("h", identity="~/k")),
    "defaults": (
        "h",
        "{ user: d, port: 23, jump: j, sudo: true, identity: k }",
        SshTarget("h", 23, "d", "j", True, "k"),
    ),
    "own value wins": ("u@h:24", "{ user: d, port: 23 }", SshTarget("h", 24, "u")),
    "null wins too": ("{ host: h, user: null, jump: ~, sudo: }", "{ user: d, jump: j, sudo: true }", SshTarget("h")),
    "false wins": ("{ host: h, sudo: false }", "{ sudo: true }", SshTarget("h")),
    "the default jump does not go through itself": ("h", "{ jump: x }", SshTarget("h")),
    "no ssh": ("null", "{ user: d }", None),
}  # fmt: skip


@pytest.mark.parametrize(("own", "defaults", "expected"), SSH.values(), ids=SSH)
def test_ssh_targets(own: str, defaults: str, expected: SshTarget | None) -> None:
    text = nodes(f"x: {{ site: a, public: [192.0.2.1], ssh: {own} }}") + f"ssh: {defaults}\n"
    assert expected == load(text).fleet.nodes[NodeName("x")].ssh


def test_the_example_loads_without_a_warning() -> None:
    loaded = load_fleet(EXAMPLE)
    assert loaded.warnings == ()
    assert loaded.fleet.path == EXAMPLE


def test_an_alias_repeats_a_value() -> None:
    text = nodes("x: { site: a, public: [192.0.2.1], roles: &r [k3s-agent] }",
                 "y: { site: a, public: [192.0.2.2], roles: *r }")  # fmt: skip
    assert load(text).fleet.nodes[NodeName("y")].roles == ("k3s-agent",)


def test_a_mistake_in_an_anchor_is_told_once() -> None:
    text = nodes("x: { site: a, public: [192.0.2.1], roles: &r [agent] }",
                 "y: { site: a, public: [192.0.2.2], roles: *r }")  # fmt: skip
    assert [one.where for one in mistakes(text)] == ["fleet.yaml:5:49"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_fleet(tmp_path / "fleet.yaml")
    [found] = caught.value.diagnostics
    assert (str(tmp_path / "fleet.yaml"), "there is no such file") == (found.where, found.what)
    assert "wireloom init" in found.hint


# which file is there, which one is asked for, what to do
ELSEWHERE = {
    "none": (None, "fleet.yaml", "`wireloom init` writes one to start from, `-f` names another"),
    "fleet.yml": ("fleet.yml", "fleet.yaml", "there is a fleet.yml: rename it, or give it with `-f fleet.yml`"),
    "in another directory": ("a b/fleet.yml", "a b/fleet.yaml", "there is a fleet.yml: rename it, or give it with `-f 'a b/fleet.yml'`"),
    "another name was asked for": ("fleet.yml", "shop.yaml", "`wireloom init` writes one to start from, `-f` names another"),
    "a directory of that name": ("fleet.yml/x", "fleet.yaml", "`wireloom init` writes one to start from, `-f` names another"),
}  # fmt: skip


@pytest.mark.parametrize(("there", "asked", "hint"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_fleet_file_by_the_other_name_of_yaml_is_told(
    there: str | None, asked: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if there:
        Path(there).parent.mkdir(exist_ok=True)
        Path(there).touch()
    with pytest.raises(UserError) as caught:
        load_fleet(Path(asked))
    assert [hint] == [one.hint for one in caught.value.diagnostics]


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_fleet(tmp_path)
    assert caught.value.diagnostics[0].what == "the file can't be read: is a directory"


def test_a_huge_file_is_not_read_to_its_end() -> None:
    with pytest.raises(UserError) as caught:
        load_fleet(Path("/dev/zero"))
    assert caught.value.diagnostics[0].what == "the file is larger than 4 MiB"


EVERYTHING = """\
fleet: Shop
underlay:
  interface: wg0123456789abcdef
  port: 0
  ipv4: 10.99.0.1/16
  mtuu: 1420
sites:
  fsn: { private: [10.0.0.0/16] }
  fsn: {}
nodes:
  cp1: { site: fns, ssh: "root@-oProxyCommand=x", public: 203.0.113.10 }
  w1: { site: fsn, public: [203.0.113.11, 127.0.0.1] }
  w2: { site: fsn, public: [203.0.113.11], ssh: root@h }
  w3: { site: fsn, private: [10.1.0.1] }
  w4: { site: fsn }
devices:
  anna: { public_key: x }
ssh: { user: "a b" }
"""


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    expected = [
        ("1:8", "`Shop` is not a fleet's name"),
        ("3:14", "`wg0123456789abcdef` is 18 characters long"),
        ("4:9", "0 is out of range"),
        ("5:9", "`10.99.0.1/16` is an address in a range, not a range"),
        ("6:3", "unknown key `mtuu`: did you mean `mtu`?"),
        ("9:3", "duplicate key `fsn`: it is at line 8, column 3 already"),
        ("11:16", "`fns` is not one of the sites: did you mean `fsn`?"),
        ("11:26", "`-oProxyCommand=x` is not a host"),
        ("11:59", "expected a list of addresses, got `203.0.113.10`"),
        ("12:43", "`127.0.0.1` is a loopback address"),
        ("13:29", "203.0.113.11 belongs to `w1` already (line 12, column 29)"),
        ("14:30", "10.1.0.1 is not in the private ranges of the site `fsn`"),
        ("15:3", "`w4` is unreachable: it has no address"),
        ("17:3", "devices are not supported yet"),
        ("17:23", "this is not a WireGuard public key"),
        ("18:14", "`a b` is not a user"),
    ]
    found = mistakes(EVERYTHING)
    ours = [(one.where.removeprefix("fleet.yaml:"), one.what) for one in found]
    assert [one for one in expected if one not in ours] == []
    assert {Severity.ERROR} == {one.severity for one in found}
    places = [tuple(map(int, one[0].split(":"))) for one in ours]
    assert sorted(places) == places


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    secret = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk"
    found = mistakes(whole("devices: {}", f"devices: {{ anna: {{ public_key: {secret} }} }}"))
    assert found
    assert not any(secret in str(one) for one in found)


STEERING = {
    "a value": ("fleet: shop", 'fleet: "\\e[31m\\u202e"'),
    "a name that is listed": ("  fsn:", '  "\\e[31m":'),
    "a name that may be meant": ("  fsn:", '  "f\\e[sn":'),
}


@pytest.mark.parametrize(("old", "new"), STEERING.values(), ids=STEERING)
def test_what_is_shown_of_a_file_can_not_steer_a_terminal(old: str, new: str) -> None:
    found = mistakes(whole(old, new))
    assert found
    assert all(line.isprintable() for one in found for line in str(one).splitlines())


@pytest.mark.parametrize("path", sorted(EXAMPLE.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_hold_no_mistake_and_no_doubt(path: Path) -> None:
    assert parse_fleet(path.read_bytes(), path).warnings == ()
