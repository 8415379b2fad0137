# ruff: noqa: E501 - a row of a table stays a row
"""What values say about each other."""

import pytest

from tests.intent.files import load, mistakes, nodes, whole
from wireloom.errors import Severity

Told = list[tuple[str, str]]


def told(text: str) -> Told:
    return [(one.where.removeprefix("fleet.yaml:"), one.what) for one in mistakes(text)]


OVERLAPS = {
    "a site's private range": ("10.0.0.0/16, ", "10.99.4.0/24, ", [("6:9", "the underlay 10.99.0.0/16 overlaps 10.99.4.0/24, a private range of the site `fsn` (line 11)"), ("14:95", "10.0.0.2 is not in the private ranges of the site `fsn`")]),
    "a site's subnet": ("subnets: []", "subnets: [10.0.0.0/8]", [("6:9", "the underlay 10.99.0.0/16 overlaps 10.0.0.0/8, a subnet of the site `fsn` (line 11)"), ("11:58", "subnets of a site are not supported yet")]),
    "IPv6": ("fd00:1::/64", "fd42::/16", [("7:9", "the underlay fd42:99::/64 overlaps fd42::/16, a private range of the site `fsn` (line 11)")]),
    "pods": ("10.44.0.0/16", "10.99.0.0/24", [("6:9", "the underlay 10.99.0.0/16 overlaps 10.99.0.0/24, the pods range (line 17)")]),
    "services": ("10.45.0.0/16", "10.96.0.0/12", [("6:9", "the underlay 10.99.0.0/16 overlaps 10.96.0.0/12, the services range (line 17)")]),
    "pods and services": ("10.45.0.0/16", "10.44.128.0/20", [("17:123", "10.44.128.0/20, the services range (line 17), overlaps 10.44.0.0/16, the pods range (line 17)")]),
    "pods and the default of services": (", services: [10.45.0.0/16]", "", []),
    "a public address": ("[198.51.100.7]", "[10.99.3.4]", [("15:139", "10.99.3.4 is inside the underlay 10.99.0.0/16")]),
    "a private address": ("10.0.0.2", "10.99.3.4", [("14:95", "10.99.3.4 is inside the underlay 10.99.0.0/16"), ("14:95", "10.99.3.4 is not in the private ranges of the site `fsn`")]),
    "SSH may run over the underlay": ("root@203.0.113.10", "root@10.99.0.1", []),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), OVERLAPS.values(), ids=OVERLAPS)
def test_the_underlay_is_apart(old: str, new: str, expected: Told) -> None:
    assert expected == told(whole(old, new))


def test_the_ranges_of_k3s_stay_free_without_a_cluster() -> None:
    text = "fleet: t\nunderlay: { ipv4: 10.42.7.0/24 }\nsites: { a: {} }\nnodes:\n  x: { site: a, public: [192.0.2.1] }\n"
    [(where, what)] = told(text)
    assert where == "2:19"
    assert "10.42.0.0/16, which k3s gives to pods" in what


def test_other_pods_free_the_default() -> None:
    text = nodes("x: { site: a, public: [192.0.2.1] }").replace("10.99.0.0/24", "10.42.7.0/24")
    assert told(text + "kubernetes: { pods: [10.200.0.0/16] }\n") == []


SIZES = {
    "two in a /30": ("ipv4: 10.99.0.0/30", 2, None),
    "three in a /30": (
        "ipv4: 10.99.0.0/30",
        3,
        "10.99.0.0/30 has 2 addresses to give out, and there are 3 nodes",
    ),
    "six in a /29": ("ipv4: 10.99.0.0/29", 6, None),
    "three in a /126": (
        "ipv6: 'fd42::/126'",
        3,
        "fd42::/126 has 2 addresses to give out, and there are 3 nodes",
    ),
    "both must do": (
        "ipv4: 10.99.0.0/24, ipv6: 'fd42::/126'",
        3,
        "fd42::/126 has 2 addresses to give out, and there are 3 nodes",
    ),
}


@pytest.mark.parametrize(("ranges", "count", "expected"), SIZES.values(), ids=SIZES)
def test_there_is_an_address_for_each_node(ranges: str, count: int, expected: str | None) -> None:
    text = nodes(*(f"x{i}: {{ site: a, public: [192.0.2.{i + 1}] }}" for i in range(count)))
    found = [what for _, what in told(text.replace("ipv4: 10.99.0.0/24", ranges))]
    assert ([] if expected is None else [expected]) == found


UNDERLAID = "fleet: t\n{}\nsites: {{ a: {{}} }}\nnodes: {{ x: {{ site: a, public: [192.0.2.1] }} }}\n{}\n"
CNI = "kubernetes: { encrypt: cni }"
NOTHING_TO_BUILD = (
    "5:24",
    "without an underlay and without `version` there is nothing to build for wireloom",
)

STRUCTURE = {
    "no range": ("fleet: t\nunderlay: {}\nsites: {}\nnodes: {}\n", [("2:11", "the underlay has no range"), ("4:8", "a fleet needs at least one node")]),
    "a mistyped range is told once": ("fleet: t\nunderlay: { ipv5: 10.99.0.0/16 }\nsites: { a: {} }\nnodes: { x: { site: a, public: [192.0.2.1] } }\n", [("2:13", "unknown key `ipv5`: did you mean `ipv6`?")]),
    "a mistyped range beside what can be read": ("fleet: t\nunderlay: { interface: wg0, ipv5: 10.99.0.0/16 }\nsites: { a: {} }\nnodes: { x: { site: a, public: [192.0.2.1] } }\n", [("2:29", "unknown key `ipv5`: did you mean `ipv6`?")]),
    "a mistyped underlay": (UNDERLAID.format("underlya: { ipv4: 10.99.0.0/16 }", ""), [("2:1", "unknown key `underlya`: did you mean `underlay`?")]),
    "a mistyped key that every file needs": (UNDERLAID.format("underlay: { ipv4: 10.99.0.0/16 }", "").replace("nodes", "noeds"), [("4:1", "unknown key `noeds`: did you mean `nodes`?")]),
    "a mistyped key that every node needs": (UNDERLAID.format("underlay: { ipv4: 10.99.0.0/16 }", "").replace("site:", "stie:"), [("4:15", "unknown key `stie`: did you mean `site`?")]),
    "a mistyped key of one node, missing in another": (UNDERLAID.format("underlay: { ipv4: 10.99.0.0/16 }", "").replace("site: a", "stie: a").replace("] } }", "] }, y: { public: [192.0.2.2] } }"), [("4:15", "unknown key `stie`: did you mean `site`?"), ("4:50", "`site` is missing in this node")]),
    "a key like none that is missing": (UNDERLAID.format("xyzzy: 1", ""), [("1:1", "`underlay` is missing in the fleet file"), ("2:1", "unknown key `xyzzy`")]),
    "a mistyped key beside the right one": (UNDERLAID.format("underlay:", "underlya: {}"), [("2:10", "`underlay` is empty"), ("5:1", "unknown key `underlya`: did you mean `underlay`?")]),
    "a mistyped kubernetes, whose plugin may encrypt": (UNDERLAID.format("", "kubernets: { encrypt: cni }"), [("5:1", "unknown key `kubernets`: did you mean `kubernetes`?")]),
    "a mistyped choice of what encrypts": (UNDERLAID.format("", "kubernetes: { encryt: cni }"), [("5:15", "unknown key `encryt`: did you mean `encrypt`?")]),
    "an underlay that is no mapping": ("fleet: t\nunderlay: wg0\nsites: { a: {} }\nnodes: { x: { site: a, public: [192.0.2.1] } }\n", [("2:11", "expected a mapping, got `wg0`")]),
    "an empty underlay": (UNDERLAID.format("underlay:", ""), [("2:10", "`underlay` is empty")]),
    "no underlay": (UNDERLAID.format("", ""), [("1:1", "`underlay` is missing in the fleet file")]),
    "no underlay below the network plugin": (UNDERLAID.format("", "kubernetes: { flannel_backend: vxlan }"), [("1:1", "`underlay` is missing in the fleet file")]),
    "no underlay beside both": (UNDERLAID.format("", "kubernetes: { encrypt: both }"), [("1:1", "`underlay` is missing in the fleet file")]),
    "no underlay, and the network plugin encrypts": (UNDERLAID.format("", CNI), []),
    "an empty underlay, and the network plugin encrypts": (UNDERLAID.format("underlay:", CNI), []),
    "an underlay that is not made has its rules all the same": (UNDERLAID.format("underlay: { port: 8472, ipv4: 10.99.0.0/16 }", CNI), [("2:19", "port 8472 is the port of flannel's VXLAN"), NOTHING_TO_BUILD]),
    "nobody knows what is to encrypt": (UNDERLAID.format("", "kubernetes: { encrypt: cnii }"), [("5:24", "`cnii` is not a layer: did you mean `cni`?")]),
    "all missing": ("lab: {}\n", [("1:1", f"`{key}` is missing in the fleet file") for key in ("fleet", "sites", "nodes", "underlay")]),
    "a small MTU without IPv6": ("fleet: t\nunderlay: { ipv4: 10.99.0.0/16, mtu: 576 }\nsites: { a: {} }\nnodes: { x: { site: a, public: [192.0.2.1] } }\n", []),
    "a site that is no mapping is not blamed twice": ("fleet: t\nunderlay: { ipv4: 10.99.0.0/16 }\nsites: { a: x }\nnodes: { x: { site: a, private: [10.0.0.1] } }\n", [("3:13", "expected a mapping, got `x`")]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STRUCTURE.values(), ids=STRUCTURE)
def test_one_mistake_is_told_once(text: str, expected: Told) -> None:
    assert expected == told(text)


CLASHES = {
    "one public address": (
        ["x: { site: a, public: [192.0.2.1] }", "y: { site: b, public: [192.0.2.1] }"],
        [("6:26", "192.0.2.1 belongs to `x` already (line 5, column 26)")],
    ),
    "in another spelling": (
        ['x: { site: a, public: ["2001:db8::1"] }', 'y: { site: b, public: ["2001:DB8:0::1"] }'],
        [("6:26", "2001:db8::1 belongs to `x` already (line 5, column 26)")],
    ),
    "one private address in a site": (
        ["x: { site: a, private: [10.0.0.1] }", "y: { site: a, private: [10.0.0.1] }"],
        [("6:27", "10.0.0.1 belongs to `x` already in the site `a` (line 5, column 27)")],
    ),
    "twice in a list": (
        ["x: { site: a, public: [192.0.2.1, 192.0.2.1] }"],
        [("5:37", "`192.0.2.1` is in this list twice")],
    ),
    "public and private": (
        ["x: { site: a, public: [10.0.0.1], private: [10.0.0.1] }"],
        [("5:47", "10.0.0.1 is both public and private")],
    ),
    "no private ranges": (
        ["x: { site: b, public: [192.0.2.1], private: [10.0.0.1] }"],
        [("5:48", "10.0.0.1 is private, and the site `b` has no private ranges")],
    ),
    "one SSH target": (
        ["x: { site: a, public: [192.0.2.1], ssh: u@h }", "y: { site: a, public: [192.0.2.2], ssh: { host: H, port: 22 } }"],
        [("6:51", "`y` has the same SSH target as `x`: H")],
    ),
    "one SSH target, with a dot at the end": (
        ["x: { site: a, public: [192.0.2.1], ssh: h.example.com }", "y: { site: a, public: [192.0.2.2], ssh: H.example.com. }"],
        [("6:43", "`y` has the same SSH target as `x`: H.example.com.")],
    ),
    "one SSH target, in both spellings of IPv4": (
        ["x: { site: a, public: [192.0.2.1], ssh: 203.0.113.5 }", "y: { site: a, public: [192.0.2.2], ssh: '::ffff:203.0.113.5' }"],
        [("6:43", "`y` has the same SSH target as `x`: ::ffff:cb00:7105")],
    ),
    "one SSH target behind one jump in two spellings": (
        ["x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: j.example.com } }", "y: { site: a, public: [192.0.2.2], ssh: { host: h, jump: J.example.com. } }"],
        [("6:51", "`y` has the same SSH target as `x`: h")],
    ),
    "another port": (
        ["x: { site: a, public: [192.0.2.1], ssh: h }", "y: { site: a, public: [192.0.2.2], ssh: h:23 }"],
        [],
    ),
    "another jump": (
        ["x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: j } }", "y: { site: a, public: [192.0.2.2], ssh: { host: h, jump: k } }"],
        [],
    ),
    "itself": (
        ["x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: x } }"],
        [("5:60", "`x` jumps through itself")],
    ),
    "in a circle": (
        ["x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: y } }", "y: { site: a, public: [192.0.2.2], ssh: { host: i, jump: z } }", "z: { site: a, public: [192.0.2.3], ssh: { host: j, jump: y } }"],
        [("6:60", "jumps that go in a circle: y → z → y")],
    ),
    "a jump without ssh": (
        ["x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: y } }", "y: { site: a, public: [192.0.2.2] }"],
        [("5:60", "`x` jumps through `y`, which has no `ssh`")],
    ),
    "a jump whose ssh is wrong": (
        ["x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: y } }", "y: { site: a, public: [192.0.2.2], ssh: '-x' }"],
        [("6:43", "`-x` is not a host")],
    ),
    "a name with an empty part": (
        ["x: { site: a, public: [192.0.2.1], ssh: root@shop..example }", "y: { site: a, public: [192.0.2.2], ssh: shop.. }"],
        [("5:43", "`shop..example` is not a host"), ("6:43", "`shop..` is not a host")],
    ),
    "a chain": (
        ["x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: y } }", "y: { site: a, public: [192.0.2.2], ssh: { host: i, jump: bastion.example } }"],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), CLASHES.values(), ids=CLASHES)
def test_no_two_nodes_are_one_machine(lines: list[str], expected: Told) -> None:
    assert expected == told(nodes(*lines))


NO_MACHINES = {
    "network": ("10.0.0.0/16", "10.0.0.0", "10.0.0.0 is the network address of 10.0.0.0/16, a private range of the site `a`"),
    "broadcast": ("10.0.0.0/16", "10.0.255.255", "10.0.255.255 is the broadcast address of 10.0.0.0/16, a private range of the site `a`"),
    "of one of two ranges": ("10.0.0.0/16, 10.0.1.0/24", "10.0.1.255", "10.0.1.255 is the broadcast address of 10.0.1.0/24, a private range of the site `a`"),
    "anycast": ("'fd00:1::/64'", "'fd00:1::'", "fd00:1:: is the subnet-router anycast address of fd00:1::/64, a private range of the site `a`"),
    "the last of IPv6": ("'fd00:1::/64'", "'fd00:1::ffff:ffff:ffff:ffff'", None),
    "the end of a part": ("10.0.0.0/16", "10.0.0.255", None),
    "the first of a /31": ("10.0.0.0/31", "10.0.0.0", None),
    "the last of a /31": ("10.0.0.0/31", "10.0.0.1", None),
    "a /32": ("10.0.0.0/32", "10.0.0.0", None),
    "the first of a /127": ("'fd00:1::/127'", "'fd00:1::'", None),
    "a /128": ("'fd00:1::/128'", "'fd00:1::'", None),
    "the first of a /30": ("10.0.0.4/30", "10.0.0.4", "10.0.0.4 is the network address of 10.0.0.4/30, a private range of the site `a`"),
}  # fmt: skip


@pytest.mark.parametrize(("ranges", "address", "expected"), NO_MACHINES.values(), ids=NO_MACHINES)
def test_a_private_address_is_one_that_a_machine_can_have(
    ranges: str, address: str, expected: str | None
) -> None:
    text = nodes(f"x: {{ site: a, private: [{address}] }}", sites=f"{{ a: {{ private: [{ranges}] }} }}")
    assert told(text) == ([("5:27", expected)] if expected else [])


def test_a_private_address_may_be_in_two_sites() -> None:
    sites = "{ a: { private: [10.0.0.0/16] }, b: { private: [10.0.0.0/16] } }"
    lines = [
        f"x{s}: {{ site: {s}, public: [192.0.2.{i}], private: [10.0.0.1] }}" for i, s in enumerate("ab", 1)
    ]
    assert told(nodes(*lines, sites=sites)) == []


def test_a_circle_through_the_default_is_told_at_the_default() -> None:
    text = nodes(
        "x: { site: a, public: [192.0.2.1], ssh: { host: h, jump: y } }",
        "y: { site: a, public: [192.0.2.2], ssh: i }",
    )
    assert told(text + "ssh: { jump: x }\n") == [("5:60", "jumps that go in a circle: x → y → x")]


UNREACHABLE = {
    "no address": (["x: { site: a }"], {"x": "it has no address"}),
    "private and alone": (["x: { site: a, private: [10.0.0.1] }"], {}),
    "private, all in one site": (["x: { site: a, private: [10.0.0.1] }", "y: { site: a, private: [10.0.0.2] }"], {}),
    "private, another site": (["x: { site: a, private: [10.0.0.1] }", "y: { site: b, public: [192.0.2.1] }"], {"x": "it has no public address"}),
    "private, a neighbour without": (["x: { site: a, private: [10.0.0.1] }", "y: { site: a, public: [192.0.2.1] }"], {"x": "it has no public address"}),
    "NAT and somebody to dial": (["x: { site: n }", "y: { site: b, public: [192.0.2.1] }"], {}),
    "NAT and nobody": (["x: { site: n }", "y: { site: n }"], {"x": "it is behind NAT", "y": "it is behind NAT"}),
    "NAT and another family": (["x: { site: n }", "y: { site: b, public: ['2001:db8::1'] }"], {"x": "it is behind NAT", "y": "no other node has an address of its families"}),
    "public families apart": (["x: { site: a, public: [192.0.2.1] }", "y: { site: b, public: ['2001:db8::1'] }"], {"x": "no other node", "y": "no other node"}),
    "NAT alone": (["x: { site: n }"], {}),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_node_that_nobody_reaches_is_refused(lines: list[str], expected: dict[str, str]) -> None:
    found = {what.split("`")[1]: what for _, what in told(nodes(*lines))}
    assert expected.keys() == found.keys()
    assert all(f"is unreachable: {why}" in found[name] for name, why in expected.items())


PARTNERS = {
    "a mistake in its addresses": (
        "z: { site: b, public: [192.0.2.x] }",
        [("7:26", "`192.0.2.x` is not an IP address")],
    ),
    "not a node at all": ("z: junk", [("7:6", "expected a mapping, got `junk`")]),
}


@pytest.mark.parametrize(("partner", "expected"), PARTNERS.values(), ids=PARTNERS)
def test_a_node_with_a_mistake_may_be_the_partner(partner: str, expected: Told) -> None:
    found = mistakes(nodes("x: { site: n }", "y: { site: n }", partner))
    errors = [one for one in found if one.severity is Severity.ERROR]
    assert expected == [(one.where.removeprefix("fleet.yaml:"), one.what) for one in errors]


def test_a_mistake_elsewhere_does_not_hide_an_unreachable_node() -> None:
    found = told(
        nodes("x: { site: a, private: [10.0.0.1] }", "y: { site: b, public: [192.0.2.1] }", "z: { sit: b }")
    )
    assert [where for where, _ in found] == ["5:3", "7:8"]


HUB = "hub: { site: b, public: [192.0.2.1] }"
MUTE = {
    "everyone talks": ([HUB, "x: { site: n }"], []),
    "two behind one NAT": ([HUB, "x: { site: n }", "y: { site: n }"], [("6:3", "`x` and `y` (site `n`) have no way to each other: nobody dials a node behind NAT from outside")]),
    "behind two NATs": ([HUB, "x: { site: n }", "y: { site: a, nat: true }"], [("6:3", "`x` (site `n`) and `y` (site `a`) have no way to each other: nobody dials a node behind NAT from outside")]),
    "many": ([HUB, *(f"x{i}: {{ site: a, nat: true, private: [10.0.0.{i}] }}" for i in range(1, 6)), "y: { site: n }"], [("6:3", "`x1`, `x2`, `x3` and 2 more (site `a`) and `y` (site `n`) have no way to each other: nobody dials a node behind NAT from outside")]),
    "families": ([ "hub: { site: b, public: [192.0.2.1, '2001:db8::1'] }", "x: { site: a, public: [192.0.2.2] }", "y: { site: b, public: ['2001:db8::2'] }"], [("6:3", "`x` (site `a`) and `y` (site `b`) have no way to each other: no address that both can use")]),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), MUTE.values(), ids=MUTE)
def test_pairs_without_a_way_are_warned_of(lines: list[str], expected: Told) -> None:
    warnings = load(nodes(*lines)).warnings
    assert {"warning"} >= {one.severity for one in warnings}
    assert expected == [(one.where.removeprefix("fleet.yaml:"), one.what) for one in warnings]


WAYS = {
    "behind two NATs": ([HUB, "x: { site: n }", "y: { site: a, nat: true }"], "make one of them reachable from outside"),
    "one behind NAT, the other in IPv6 alone": (["hub: { site: b, public: [192.0.2.1, '2001:db8::1'] }", "x: { site: n }", "y: { site: b, public: ['2001:db8::2'] }"], "give one an address of the other's family"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "way"), WAYS.values(), ids=WAYS)
def test_a_pair_without_a_way_is_told_what_makes_one(lines: list[str], way: str) -> None:
    (warning,) = [one for one in load(nodes(*lines)).warnings if "`x`" in one.what and "`y`" in one.what]
    assert warning.hint == f"no tunnel is made between them: {way}, or live without"


def test_the_warnings_of_a_large_fleet_stay_few() -> None:
    sites = "{ b: {}, " + ", ".join(f"n{i}: {{ nat: true }}" for i in range(50)) + " }"
    warnings = load(nodes(HUB, *(f"x{i}: {{ site: n{i} }}" for i in range(50)), sites=sites)).warnings
    assert len(warnings) == 6
    assert warnings[-1].what == "and 1220 more pairs of nodes without a way to each other"  # 50 * 49 / 2 - 5
