# ruff: noqa: E501 - a row of a table stays a row
"""What the probes print, read: recordings of machines, nothing at all, and garbage.

``recordings/`` holds whole answers: ``userspace`` and ``bare`` were taken from machines made of network
namespaces (wireguard-go, no systemd), ``kernel`` is put together from what Ubuntu 24.04 prints. What ``running`` says is in the words of running.sh.
"""

import json
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wireloom.observe.parse import (
    parse_addresses,
    parse_config,
    parse_disks,
    parse_key,
    parse_link,
    parse_net_admin,
    parse_peer,
    parse_port_holder,
    parse_routing,
    parse_stamp,
    parse_state,
    parse_system,
    parse_versions,
)
from wireloom.observe.probes import PROBES, split_sections
from wireloom.observe.state import (
    Access,
    AddressSeen,
    ConfigKind,
    ConfigSeen,
    DiskSeen,
    GroundSeen,
    KeyKind,
    LinkSeen,
    NodeState,
    PeerSeen,
    RiderSeen,
    RouteSeen,
    RuleSeen,
    Stamp,
    SystemSeen,
)
from wireloom.plan.filed import read_filed
from wireloom.preflight.tools import REQUIRED
from wireloom.values import Endpoint, NodeName, PublicKey

RECORDINGS = Path(__file__).parent / "recordings"
NAME = NodeName("a")
EVERYWHERE = ip_network("0.0.0.0/0")
OWN = PublicKey("N9s3unphe9iF17wpvOCCTUpkhmfNF0Sh6sOpJSlD+zY=")
ONE = PublicKey("vczH6YJzRo7zAvOJMtW3w5TSG21zUFpNCs4u2G9Sjl0=")
TWO = PublicKey("t/cKFb6GL66rlzOWW3678168bOjYAqW6C/PkyMKJLFA=")


def recorded(name: str) -> dict[str, str]:
    return split_sections((RECORDINGS / f"{name}.txt").read_text(), "NONCE")


def state(name: str) -> NodeState:
    return parse_state(NAME, recorded(name))


# ---- whole answers


@pytest.mark.parametrize("name", ["userspace", "bare", "kernel"])
def test_nothing_in_a_recording_is_garbled(name: str) -> None:
    assert state(name).garbled == ()


@pytest.mark.parametrize("name", ["userspace", "bare", "kernel"])
def test_a_recording_answers_every_probe(name: str) -> None:
    assert [*(probe.name for probe in PROBES), "end"] == list(recorded(name))


def test_a_machine_with_a_userspace_interface() -> None:
    seen = state("userspace")
    assert (
        LinkSeen(
            kind="tun",
            up=True,
            mtu=1440,
            addresses=frozenset({ip_interface("10.99.0.1/16"), ip_interface("fd42:99::1/64")}),
            public_key=OWN,
            port=51820,
            fwmark=0,
            peers={
                ONE: PeerSeen(
                    ONE,
                    Endpoint.parse("192.0.2.2:51820"),
                    frozenset({ip_network("10.99.0.2/32"), ip_network("fd42:99::2/128")}),
                    handshake=0,
                    received=0,
                    sent=0,
                    keepalive=0,
                    preshared=True,
                ),
                TWO: PeerSeen(TWO, None, frozenset({ip_network("10.99.0.3/32")}), 0, 0, 0, 0),
            },
            keeper=1,
        )
        == seen.link
    )
    assert (seen.key_kind, seen.public_key, seen.key_access) == (KeyKind.GOOD, OWN, Access(0o644))
    assert Stamp("shop", 3, "feed", "beef") == seen.stamp
    assert (seen.config.kind, seen.config.access, seen.config.has_key) == (
        ConfigKind.OURS,
        Access(0o600),
        True,
    )
    assert seen.config.public_key == OWN
    assert seen.enabled
    assert not seen.system.systemd


def test_the_running_interface_is_what_its_file_says() -> None:
    """Endpoints, addresses, port, MTU and peers: but for the peer that was added by hand afterwards."""
    seen = state("userspace")
    assert seen.link is not None
    as_filed = replace(seen.link, kind="", peers={ONE: replace(seen.link.peers[ONE], preshared=False)})
    assert as_filed == read_filed(seen.config.keyless, OWN)


def test_the_file_without_its_key_is_told_to_the_byte() -> None:
    keyless = state("userspace").config.keyless
    assert keyless.startswith("# Written by wireloom for a,")
    assert keyless.endswith("Endpoint = 192.0.2.2:51820\nPresharedKey = (hidden)\n")
    assert "\nPrivateKey" not in keyless


def test_routes_of_both_families() -> None:
    assert {
        RouteSeen("unicast", ip_network("10.99.0.0/16"), "wg0", 0),
        RouteSeen("unreachable", ip_network("10.99.0.0/16"), "", 4000000),
        RouteSeen("unicast", ip_network("fd42:99::/64"), "wg0", 256),
        RouteSeen("unreachable", ip_network("fd42:99::/64"), "lo", 4000000),
        RouteSeen("unicast", ip_network("fe80::/64"), "wg0", 256),
    } == state("userspace").routes


def test_a_bare_machine() -> None:
    seen = state("bare")
    assert (
        NodeState(
            NAME,
            seen.system,
            key_kind=KeyKind.ABSENT,
            public_key=None,
            key_access=Access(),
            config=ConfigSeen(ConfigKind.ABSENT),
            stamp=None,
            link=None,
            routes=frozenset(),
            enabled=False,
            fingerprint=sha256(b"").hexdigest(),
            ground=seen.ground,
        )
        == seen
    )


def test_the_fingerprint_is_of_what_runs_and_of_the_note_and_of_nothing_else() -> None:
    sections = recorded("userspace")
    changing = {
        name
        for name in sections
        if parse_state(NAME, {**sections, name: sections[name] + "\n"}).fingerprint
        != state("userspace").fingerprint
    }
    assert changing == {"running", "stamp"}


def test_the_system_of_a_bare_machine() -> None:
    tools = frozenset((*REQUIRED, "wireguard-go", "tcpdump", "apt-get"))
    seen = replace(state("bare").system, kernel="", clock=0)
    assert SystemSeen("Debian GNU/Linux 12 (bookworm)", "", "x86_64", False, 0, tools, False) == seen


def test_what_a_machine_gives_to_build_on() -> None:
    assert (
        GroundSeen(
            families=("debian",),
            identity="0c27b8a3" * 8,
            disks=(
                DiskSeen("/etc/wireguard", read_only=False, free=253 * 4096, free_files=3085507),
                DiskSeen("/var/lib", read_only=False, free=255 * 4096, free_files=3085506),
            ),
            addresses=frozenset(
                AddressSeen(device, ip_interface(address))
                for device, address in {
                    ("lo", "127.0.0.1/8"),
                    ("lo", "::1/128"),
                    ("wg0", "10.99.0.1/16"),
                    ("wg0", "fd42:99::1/64"),
                }
            ),
            port_holder="",
            rules=state("bare").ground.rules,
        )
        == state("userspace").ground
    )


def test_what_a_container_lacks() -> None:
    ground = state("kernel").ground
    assert (ground.families, ground.identity, ground.net_admin, ground.tun) == (
        ("ubuntu", "debian"),
        "",
        False,
        False,
    )
    assert ground.disks == (
        DiskSeen("/etc/wireguard", read_only=True, free=18421 * 4096, free_files=None),
        DiskSeen("/var/lib", read_only=False, free=8192, free_files=0),
    )
    assert ground.port_holder == "dnsmasq (process 812)"


def test_a_machine_with_kernel_wireguard_and_somebody_elses_file() -> None:
    seen = state("kernel")
    assert (seen.system.systemd, seen.system.kernel_wireguard, seen.enabled) == (True, True, False)
    assert ConfigSeen(ConfigKind.FOREIGN, "", Access(0o644), has_key=True) == seen.config
    assert seen.link is not None
    assert (
        seen.link.kind,
        seen.link.up,
        seen.link.public_key,
        seen.link.port,
        seen.link.fwmark,
    ) == ("wireguard", False, None, 38211, 0xCA6C)
    one = PeerSeen(
        ONE, Endpoint.parse("[2001:db8::2]:40001"), frozenset({ip_network("10.99.0.2/32")}), 1759999990, 1480, 2312, 25
    )  # fmt: skip
    two = PeerSeen(TWO, Endpoint.parse("[fe80::1%eth0]:51820"), frozenset(), 0, 0, 0, 0)
    assert {ONE: one, TWO: two} == seen.link.peers


def test_routes_that_are_not_plain() -> None:
    assert {
        RouteSeen("unicast", ip_network("10.42.1.0/24"), "flannel.1", 0),
        RouteSeen("unicast", ip_network("192.0.2.1/32"), "eth0", 100),
        RouteSeen("blackhole", ip_network("198.18.0.0/15"), "", 0),
        RouteSeen("unicast", ip_network("2001:db8:7::/64"), "", 100),
    } == state("kernel").routes


def test_routes_of_other_tables() -> None:
    """But for those of local, which every address brings along."""
    assert {
        RouteSeen("unicast", ip_network("100.100.100.100/32"), "tailscale0", 0, "52"),
        RouteSeen("throw", ip_network("127.0.0.0/8"), "", 0, "52"),
        RouteSeen("unicast", ip_network("0.0.0.0/0"), "mullvad", 0, "51820"),
        RouteSeen("local", ip_network("0.0.0.0/0"), "lo", 0, "2004"),
        RouteSeen("unicast", ip_network("::/0"), "eth1", 1024, "100"),
    } == state("kernel").ground.elsewhere


def rule4(priority: int, words: str, table: str, *, narrow: bool = False, suppress: int = -1) -> RuleSeen:
    """A rule for packets from and to everywhere."""
    return RuleSeen(priority, EVERYWHERE, EVERYWHERE, table, narrow, words, suppress)


def test_the_rules_of_a_machine_with_tunnels_and_two_uplinks() -> None:
    """In their order; those that name no table are left out."""
    everywhere6 = ip_network("::/0")
    assert (
        rule4(9, "from all fwmark 0x200 fwmask 0xf00 lookup 2004", "2004", narrow=True),
        rule4(100, "from all lookup local", "local"),
        RuleSeen(200, ip_network("203.0.113.0/24"), ip_network("192.0.2.9/32"), "100", False, "from 203.0.113.0/24 to 192.0.2.9/32 iif lo lookup 100"),
        rule4(5270, "from all lookup 52", "52"),
        rule4(32764, "from all lookup main suppress_prefixlength 0", "main", suppress=0),
        rule4(32765, "not from all fwmark 0xca6c lookup 51820", "51820"),
        rule4(32766, "from all lookup main", "main"),
        rule4(32767, "from all lookup default", "default"),
        RuleSeen(0, everywhere6, everywhere6, "local", False, "from all lookup local"),
        RuleSeen(50, ip_network("2001:db8::7/128"), everywhere6, "100", False, "from 2001:db8::7/128 lookup 100"),
        RuleSeen(32766, everywhere6, everywhere6, "main", False, "from all lookup main"),
    ) == state("kernel").ground.rules  # fmt: skip


# name: (what ip says beside priority and table, whether that narrows the rule, which packets it is then for)
RULES: dict[str, tuple[dict[str, object], bool, str, str]] = {
    "all": ({"src": "all"}, False, "0.0.0.0/0", "0.0.0.0/0"),
    "what the machine sends": ({"src": "all", "iif": "lo"}, False, "0.0.0.0/0", "0.0.0.0/0"),
    "what comes in elsewhere": ({"src": "all", "iif": "eth0"}, True, "0.0.0.0/0", "0.0.0.0/0"),
    "one user": ({"src": "all", "uid_start": 7, "uid_end": 7}, True, "0.0.0.0/0", "0.0.0.0/0"),
    "a mark": ({"src": "all", "fwmark": "0x1"}, True, "0.0.0.0/0", "0.0.0.0/0"),
    "what nobody knows yet": ({"src": "all", "colour": "red"}, True, "0.0.0.0/0", "0.0.0.0/0"),
    "who added it": ({"src": "all", "protocol": "static"}, False, "0.0.0.0/0", "0.0.0.0/0"),
    "a source": ({"src": "10.1.0.0", "srclen": 16}, False, "10.1.0.0/16", "0.0.0.0/0"),
    "one source": ({"src": "10.1.0.1"}, False, "10.1.0.1/32", "0.0.0.0/0"),
    "a destination": ({"src": "all", "dst": "10.1.0.0", "dstlen": 16}, False, "0.0.0.0/0", "10.1.0.0/16"),
    "no mark": ({"not": None, "src": "all", "fwmark": "0x1", "fwmask": "0xff"}, False, "0.0.0.0/0", "0.0.0.0/0"),
    "nothing": ({"not": None, "src": "all"}, True, "0.0.0.0/0", "0.0.0.0/0"),
    "all but one destination": ({"not": None, "src": "all", "dst": "10.1.0.0", "dstlen": 16}, True, "0.0.0.0/0", "0.0.0.0/0"),
    "all but one interface": ({"not": None, "src": "all", "iif": "eth0"}, True, "0.0.0.0/0", "0.0.0.0/0"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "narrow", "source", "to"), RULES.values(), ids=RULES)
def test_rules(said: dict[str, object], narrow: bool, source: str, to: str) -> None:
    text = "[]\n" + json.dumps([{"priority": 7, **said, "table": "9"}])
    [rule] = parse_routing(text, EVERYWHERE)[1]
    assert (rule.priority, rule.table, rule.narrow) == (7, "9", narrow)
    assert (str(rule.source), str(rule.to)) == (source, to)


def test_words_of_a_rule_cant_steer_a_terminal() -> None:
    text = '[]\n[{"priority":1,"src":"all","iif":"\\u001b[2J","table":"\\u001bc"}]'
    [rule] = parse_routing(text, EVERYWHERE)[1]
    assert (rule.table, rule.words) == ("?c", "from all iif ?[2J lookup ?c")


def test_a_kernel_without_policy_routing_has_routes_all_the_same() -> None:
    text = '[{"dst":"10.0.0.0/8","dev":"eth0","flags":[]}]\n'
    assert parse_routing(text, EVERYWHERE) == (
        frozenset({RouteSeen("unicast", ip_network("10.0.0.0/8"), "eth0", 0)}),
        (),
    )


# ---- one by one: right, empty, cut, garbage

KEYS = {
    "no file": ("", (KeyKind.ABSENT, None, Access())),
    "an empty or broken key": ("600\n", (KeyKind.BROKEN, None, Access(0o600))),
    "good": (f"600\n{OWN}\n", (KeyKind.GOOD, OWN, Access(0o600))),
    "a link that leads nowhere": ("0\n", (KeyKind.BROKEN, None, Access())),
    "readable by all": (f"644\n{OWN}\n", (KeyKind.GOOD, OWN, Access(0o644))),
    "somebody's": (f"600/1000\n{OWN}\n", (KeyKind.GOOD, OWN, Access(0o600, 1000))),
    "setuid and all": (f"4755\n{OWN}\n", (KeyKind.GOOD, OWN, Access(0o4755))),
}


@pytest.mark.parametrize(("text", "expected"), KEYS.values(), ids=KEYS)
def test_keys(text: str, expected: object) -> None:
    assert expected == parse_key(text)


CONFIGS = {
    "no file": ("", ConfigSeen(ConfigKind.ABSENT)),
    "foreign": ("644\n2\n", ConfigSeen(ConfigKind.FOREIGN, "", Access(0o644), True)),
    "foreign without a key": ("600\n0\n", ConfigSeen(ConfigKind.FOREIGN, "", Access(0o600), False)),
    "a link that leads nowhere": ("0\n0\n", ConfigSeen(ConfigKind.FOREIGN)),
    "ours": (f"600\n1\nours\n{OWN}\n# x\n[Interface]\n", ConfigSeen(ConfigKind.OURS, "# x\n[Interface]\n", Access(0o600), True, OWN)),
    "ours, somebody's": (f"640/33\n1\nours\n{OWN}\n# x\n", ConfigSeen(ConfigKind.OURS, "# x\n", Access(0o640, 33), True, OWN)),
    "ours, a key that wg refuses": ("600\n1\nours\n\n# x\n", ConfigSeen(ConfigKind.OURS, "# x\n", Access(0o600), True)),
    "ours, key lost": ("600\n0\nours\n\n# x\n", ConfigSeen(ConfigKind.OURS, "# x\n", Access(0o600), False)),
    "ours, two keys": ("600\n2\nours\n\n# x\n", ConfigSeen(ConfigKind.OURS, "# x\n", Access(0o600), False)),
    "ours, ends in empty lines": (f"600\n1\nours\n{OWN}\n# x\n\n\n", ConfigSeen(ConfigKind.OURS, "# x\n\n\n", Access(0o600), True, OWN)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CONFIGS.values(), ids=CONFIGS)
def test_configs(text: str, expected: ConfigSeen) -> None:
    assert expected == parse_config(text)


def test_no_stamp() -> None:
    assert parse_stamp("\n") is None


def test_no_link() -> None:
    assert parse_link("", {}) is None


def test_no_routes() -> None:
    assert parse_routing("", EVERYWHERE) == (frozenset(), ())


def test_a_link_that_wg_can_say_nothing_about() -> None:
    link = {"ifname": "wg0", "flags": [], "mtu": 1500, "linkinfo": {"info_kind": "dummy"}, "addr_info": []}
    seen = parse_link(json.dumps([link]), {"interface": "wg0\n"})
    assert LinkSeen("dummy", False, 1500, frozenset(), None, 0, 0, {}) == seen


PEER_LINE = f"{ONE}\t(none)\t192.0.2.2:51820\t10.99.0.2/32\t0\t0\t0\toff"
GARBAGE = {
    "os": ["", "Debian\n6.1 x86_64\n", "Debian\n6.1 x86_64\nnoon\n", "Debian\n6.1\n1.5\n"],
    "key": ["rw-------\n", f"600\n{OWN}x\n", "600\nwg: Key is not the correct length or format\n"],
    "config": ["600\n", "600\nmany\n", "sh: stat: not found\n1\nours\n", "600\n1\nours\n", f"600\n1\nours\n{OWN}x\n# x\n"],
    "stamp": ["fleet=shop\n", "fleet=shop\ngeneration=x\nnetwork=a\ndigest=b\n", "shop 3\n", "\x00\x00"],
    "links": ["[", "{\"a\":1}", "1", '[{"ifname":"wg0","mtu":1}]', '[{"ifname":"wg0","flags":[],"mtu":1e999}]', '[{"ifname":"wg0","flags":[],"mtu":"a lot"}]', '[{"ifname":"wg0","flags":[],"mtu":1,"linkinfo":null}]', '[{"ifname":"wg0","flags":[],"mtu":1,"stats64":{"rx":{}}}]', '[{"ifname":"wg0","flags":[],"mtu":1,"stats64":[1]}]', '[{"ifname":"wg0","flags":[],"mtu":1,"addr_info":[{"local":"x","prefixlen":1}]}]'],
    "routes4": ["[", "{}x", "1", '"dst"', "[1]", '[{"dst":"10.0.0.1/8"}]', '[{"dst":null}]', '[{"dst":"10.0.0.0/8","metric":[]}]'],
    "routes6": ["[{}]", "null", "[]\n[", "[]\n{}x", "[]\nnull", '[]\n[{"table":"1"}]', '[]\n[{"table":"1","priority":"first"}]', '[]\n[{"table":"1","priority":1,"src":"x"}]', '[]\n[{"table":"1","priority":1,"dst":"10.0.0.1","dstlen":8}]', '[]\n[{"table":"1","priority":1,"suppress_prefixlen":[]}]'],
}  # fmt: skip


@pytest.mark.parametrize(
    ("probe", "text"), [(probe, text) for probe, texts in GARBAGE.items() for text in texts]
)
def test_garbage_is_named_and_nothing_else_is_lost(probe: str, text: str) -> None:
    good = state("userspace")
    seen = parse_state(NAME, {**recorded("userspace"), probe: text})
    assert (probe,) == seen.garbled
    fields = {"os": "system", "key": "public_key", "links": "link", "routes4": "routes", "routes6": "routes"}
    kept = {"system", "public_key", "config", "stamp", "link", "routes"} - {fields.get(probe, probe)}
    assert {field: getattr(good, field) for field in kept} == {field: getattr(seen, field) for field in kept}


PEERS = ["", PEER_LINE[:-4], PEER_LINE + "\tx", PEER_LINE.replace("10.99.0.2/32", "10.99.0.2/16"), PEER_LINE.replace(":51820", ":what"), PEER_LINE.replace("off", "often"), "wg: " + PEER_LINE]  # fmt: skip


@pytest.mark.parametrize("line", PEERS)
def test_what_is_no_line_of_a_peer(line: str) -> None:
    with pytest.raises(ValueError):
        parse_peer(line)


@pytest.mark.parametrize("line", PEERS)
def test_a_garbled_peer_garbles_the_link(line: str) -> None:
    sections = recorded("userspace") | {"running": f"dump {PEER_LINE}\ndump {line}\n"}
    assert parse_state(NAME, sections).garbled == ("links",)


KEEPERS = {"set": ("1\n", 1), "forbidden": ("-1\n", -1), "a kernel without IPv6": ("", 0)}


@pytest.mark.parametrize(("text", "expected"), KEEPERS.values(), ids=KEEPERS)
def test_the_keeper_of_addresses(text: str, expected: int) -> None:
    link = parse_state(NAME, recorded("userspace") | {"keeper": text}).link
    assert link is not None
    assert link.keeper == expected


@pytest.mark.parametrize("text", ["yes\n", "1 1\n", "cat: no such file\n"])
def test_a_garbled_keeper_garbles_the_link(text: str) -> None:
    assert parse_state(NAME, recorded("userspace") | {"keeper": text}).garbled == ("links",)


FILTERS = {
    "strict everywhere": ("1 0 0 \n", 1, 1),
    "loose here": ("1 2 1 \n", 2, 1),
    "off, and strict for new ones": ("0 0 1 \n", 0, 1),
    "no such interface": ("0 2 \n", 2, 0),
    "a kernel without": ("", 0, 0),
}


@pytest.mark.parametrize(("text", "here", "usual"), FILTERS.values(), ids=FILTERS)
def test_the_kernel_takes_the_greater_of_two_filters(text: str, here: int, usual: int) -> None:
    link = parse_state(NAME, recorded("userspace") | {"filter": text}).link
    assert link is not None
    assert (link.filter, link.usual_filter) == (here, usual)


def test_a_garbled_filter_garbles_the_link() -> None:
    assert parse_state(NAME, recorded("userspace") | {"filter": "cat: no"}).garbled == ("links",)


def test_devices_of_vxlan_that_are_bound_to_another_one() -> None:
    links = [
        {"ifname": "flannel.1", "linkinfo": {"info_kind": "vxlan", "info_data": {"id": 1, "link": "wg0"}}},
        {
            "ifname": "vx-free",
            "linkinfo": {"info_kind": "vxlan", "info_data": {"id": 2, "remote": "192.0.2.1"}},
        },
        {"ifname": "br0", "linkinfo": {"info_kind": "bridge", "info_data": {"link": "wg0"}}},
        {"ifname": "eth0"},
        {},
    ]
    links += json.loads(recorded("userspace")["links"])
    seen = parse_state(NAME, recorded("userspace") | {"links": json.dumps(links)})
    assert seen.garbled == ()
    assert seen.riders == (RiderSeen("flannel.1", 1, "wg0"),)


def test_traffic_is_that_of_the_interface_also_to_peers_that_have_gone() -> None:
    links = json.loads(recorded("kernel")["links"])
    for number, link in enumerate(links):
        link["stats64"] = {"rx": {"bytes": 1000 + number, "packets": 3}, "tx": {"bytes": 2**40 + number}}
    seen = parse_state(
        NAME, recorded("kernel") | {"links": json.dumps(links), "running": f"interface {OWN} 51820 off\n"}
    ).link
    assert seen is not None
    (place,) = [number for number, link in enumerate(links) if link.get("ifname") == "wg0"]
    assert (seen.received, seen.sent, seen.peers) == (1000 + place, 2**40 + place, {})


def test_an_ip_that_counts_nothing_is_no_zero() -> None:
    link = state("kernel").link
    assert link is not None
    assert (link.received, link.sent) == (None, None)


ENABLED = {
    "enabled": True,
    "enabled-runtime": False,
    "disabled": False,
    "masked": False,
    "static": False,
    "": False,
}


@pytest.mark.parametrize(("text", "expected"), ENABLED.items())
def test_enabled_is_what_outlives_a_reboot(text: str, expected: bool) -> None:
    assert expected == parse_state(NAME, recorded("bare") | {"enabled": f"{text}\n"}).enabled


def test_no_sections_at_all_is_a_state_that_says_so() -> None:
    assert parse_state(NAME, {}).garbled == ("os",)


def test_a_broken_system_line_does_not_hide_the_rest() -> None:
    with pytest.raises(ValueError):
        parse_system("", {})


# ---- the answers, parted

CUTS = range(0, len((RECORDINGS / "userspace.txt").read_text()) - len("NONCE end\n"), 97)


@pytest.mark.parametrize("end", CUTS)
def test_an_answer_that_was_cut_short_is_refused(end: int) -> None:
    with pytest.raises(ValueError, match="cut short"):
        split_sections((RECORDINGS / "userspace.txt").read_text()[:end], "NONCE")


def test_what_a_login_shell_says_first_is_passed_over() -> None:
    text = (RECORDINGS / "bare.txt").read_text()
    assert recorded("bare") == split_sections(f"Welcome to a\nNONCES\n{text}", "NONCE")


# ---- fuzz

fast = settings(max_examples=150)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["10.0.0.0/8", "default", "fd42::1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["table", "priority", "src", "srclen", "not", "iif", "suppress_prefixlen", "dst", "type", "dev", "metric", "flags", "mtu", "linkinfo", "info_kind", "addr_info", "local", "prefixlen"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)  # fmt: skip
pieces = st.one_of(
    st.text(max_size=30),
    json_values.map(json.dumps),
    st.lists(json_values, max_size=2).map(json.dumps),
    st.lists(json_values.map(json.dumps), max_size=3).map("\n".join),
    st.lists(st.sampled_from([str(ONE), "600", "1", "ours", "off", "(none)", "\t", "\n", "=", "fleet=", "x"])).map("".join),
    st.lists(st.sampled_from([PEER_LINE, "\n", "\t", "0", "x"])).map("".join),
)  # fmt: skip


VERSIONS = {
    "two tools": ("ip a\nwg b - c\n", {"ip": "a", "wg": "b - c"}),
    "a tool that says nothing": ("ip a\nwg \n", {"ip": "a"}),
    "no tools": ("", {}),
    "words that would steer a terminal, and many": ("ip \x1b[2J" + 200 * "x", {"ip": "?[2J" + 76 * "x"}),
}


@pytest.mark.parametrize(("text", "expected"), VERSIONS.values(), ids=VERSIONS)
def test_versions(text: str, expected: dict[str, str]) -> None:
    assert parse_versions(text) == expected


CAPABILITIES = {
    "root": ("CapEff:\t000001ffffffffff\n", True),
    "only this one": ("CapEff:\t0000000000001000\n", True),
    "all but this one": ("CapEff:\t000001ffffffefff\n", False),
    "what Docker gives": ("CapEff:\t00000000a80425fb\n", False),
    "no word of it": ("", True),
}


@pytest.mark.parametrize(("text", "expected"), CAPABILITIES.values(), ids=CAPABILITIES)
def test_net_admin(text: str, expected: bool) -> None:
    assert parse_net_admin(text) is expected


DISKS = {
    "whole": ("/x rw 10 512 100 7\n", DiskSeen("/x", read_only=False, free=5120, free_files=7)),
    "no table of files": ("/x rw 10 512 0 0\n", DiskSeen("/x", read_only=False, free=5120, free_files=None)),
    "a stat that can't": ("/x ro \n", DiskSeen("/x", read_only=True, free=None, free_files=None)),
}


@pytest.mark.parametrize(("text", "expected"), DISKS.values(), ids=DISKS)
def test_disks(text: str, expected: DiskSeen) -> None:
    assert parse_disks(text) == (expected,)


def test_addresses_of_links_without_any_and_of_point_to_point_links() -> None:
    links: list[dict[str, object]] = [
        {},
        {"ifname": "eth0", "addr_info": []},
        {"ifname": "ppp0", "addr_info": [{"local": "192.0.2.1", "address": "192.0.2.9", "prefixlen": 32}]},
        {"ifname": "eth1", "addr_info": [{"local": "fe80::1", "prefixlen": 64, "scope": "link"}]},
    ]
    assert {AddressSeen("ppp0", ip_interface("192.0.2.1/32"))} == parse_addresses(json.dumps(links))


HOLDERS = {
    "nobody": ("\n", None),
    "somebody, and no ss": ("taken\n", ""),
    "the kernel": ("taken\nUNCONN 0 0 0.0.0.0:51820 0.0.0.0:*\n", ""),
    "two": ('taken\nx users:(("a",pid=1,fd=3),("b",pid=2,fd=3))\n', "a (process 1), b (process 2)"),
    "one with two sockets": (
        'taken\nx users:(("a",pid=1,fd=3))\ny users:(("a",pid=1,fd=4))\n',
        "a (process 1)",
    ),
    "a name that would steer a terminal": ('taken\nx users:(("\x1b[2J",pid=1,fd=3))\n', "?[2J (process 1)"),
}


@pytest.mark.parametrize(("text", "expected"), HOLDERS.values(), ids=HOLDERS)
def test_the_holder_of_a_port(text: str, expected: str | None) -> None:
    assert parse_port_holder(text) == expected


@given(st.dictionaries(st.sampled_from([probe.name for probe in PROBES]), pieces))
@fast
def test_no_answer_is_too_strange(answers: dict[str, str]) -> None:
    seen = parse_state(NAME, {**recorded("userspace"), **answers})
    assert set(seen.garbled) <= {
        *("os", "key", "config", "stamp", "links", "routes4", "routes6", "guard", "client"),
        *("versions", "capabilities", "disks"),
    }


@given(st.integers(0, 4000), st.integers(0, 40), st.text(max_size=8))
@fast
def test_a_recording_with_something_wrong(start: int, length: int, new: str) -> None:
    text = (RECORDINGS / "userspace.txt").read_text()
    try:
        sections = split_sections(text[:start] + new + text[start + length :], "NONCE")
    except ValueError:
        return
    parse_state(NAME, sections)


@given(st.text() | st.sampled_from([*PEERS, "Address = 1", "[Peer]\nPublicKey = x"]))
@fast
def test_no_file_is_too_strange_to_be_read_back(text: str) -> None:
    assert read_filed(text, None).public_key is None


@given(json_values, st.lists(json_values))
@fast
def test_no_routing_is_too_strange(routes: object, rules: list[object]) -> None:
    """What is no garbage has nothing of the main table's default in it, and names a table in every rule."""
    text = f"{json.dumps(routes)}\n{json.dumps(rules)}"
    sections = {**recorded("userspace"), "routes4": text}
    seen = parse_state(NAME, sections)
    assert seen.garbled in ((), ("routes4",))
    assert EVERYWHERE not in {one.to for one in seen.routes}
    assert len(seen.ground.rules) <= len(rules) + 2
