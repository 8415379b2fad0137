# ruff: noqa: E501 - a row of a table stays a row
"""Policy routing that leads packets of the underlay past its interface: told, and what is harmless is not.

Each case is typed on a real machine, whose kernel says which way a packet takes.
"""

import os
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_interface, ip_network

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.apply.sandbox import Sandbox, sandbox
from tests.plan.world import settled
from tests.preflight.look import A, Line, find, lines
from wireloom.observe.parse import parse_state
from wireloom.observe.probes import probe_script, split_sections
from wireloom.observe.state import AddressSeen, NodeState, RouteSeen, RuleSeen
from wireloom.preflight.detours import check_detours

RANGE = ip_network("10.99.0.0/16")
ALL, ALL6 = ip_network("0.0.0.0/0"), ip_network("::/0")
MAIN_RULE = RuleSeen(32766, ALL, ALL, "main", False, "from all lookup main")
WORLD = settled()
BY_ETH1 = RouteSeen("unicast", RANGE, "eth1", 0, "100")


def rule(priority: int = 99, table: str = "100", *, narrow: bool = False) -> RuleSeen:
    return RuleSeen(priority, ALL, ALL, table, narrow, f"from all lookup {table}")


def found(rules: tuple[RuleSeen, ...], *routes: RouteSeen) -> list[Line]:
    return lines(find({A: {"rules": (*rules, MAIN_RULE), "elsewhere": frozenset(routes)}}))


# ---- the words


def test_a_route_into_the_range() -> None:
    [one] = find({A: {"rules": (rule(), MAIN_RULE), "elsewhere": frozenset({BY_ETH1})}})
    assert lines([one]) == [
        ("a", "range", "error", "the route 10.99.0.0/16 dev eth1 of table 100 leads into the underlay's range 10.99.0.0/16, by the rule 99: from all lookup 100")
    ]  # fmt: skip
    assert one.hint == (
        "take one of them away there (ip -4 route del 10.99.0.0/16 dev eth1 table 100, or ip -4 rule del priority 99,"
        " and where it is configured), or choose another range under `underlay:`"
    )


def test_a_route_to_more_than_the_range() -> None:
    default = RouteSeen("unicast", ALL6, "tun0", 1024, "52")
    tunnel = RuleSeen(5270, ALL6, ALL6, "52", False, "from all lookup 52")
    [one] = find({A: {"rules": (tunnel,), "elsewhere": frozenset({default})}})
    assert lines([one]) == [
        ("a", "range", "error", "the route default dev tun0 metric 1024 of table 52 leads packets to fd42:99::/64, the underlay's range, past wg0, by the rule 5270: from all lookup 52")
    ]  # fmt: skip
    assert one.hint == (
        "keep the range out of that table there (ip -6 route add throw fd42:99::/64 table 52, and where it is"
        " configured), or take the rule away (ip -6 rule del priority 5270)"
    )


def test_what_only_some_packets_meet_is_a_warning() -> None:
    assert [(check, severity) for _, check, severity, _ in found((rule(narrow=True),), BY_ETH1)] == [
        ("range", "warning")
    ]


def test_every_rule_that_leads_there_is_told() -> None:
    told = found((rule(98), rule(99)), BY_ETH1)
    assert [what.split("rule ")[1] for *_, what in told] == [
        "98: from all lookup 100",
        "99: from all lookup 100",
    ]


def test_a_route_that_a_foreign_address_brought_along_is_told_with_the_address() -> None:
    own = RouteSeen("unicast", ip_network("10.99.7.0/24"), "eth1", 0, "100")
    changes = {
        "rules": (rule(), MAIN_RULE),
        "elsewhere": frozenset({own}),
        "addresses": frozenset({AddressSeen("eth1", ip_interface("10.99.7.7/24"))}),
    }
    assert [one.what.split()[0] for one in find({A: changes})] == ["eth1"]


# ---- any rules and routes, against a kernel in a few lines

PLACES = [ALL, *map(ip_network, ("10.0.0.0/8", "10.99.0.0/16", "10.99.3.0/24", "10.98.0.0/16"))]
rules = st.builds(
    lambda to, table, suppress: RuleSeen(1, ALL, to, table, False, "", suppress),
    st.sampled_from(PLACES),
    st.sampled_from(["main", "100", "101"]),
    st.sampled_from([-1, 0, 8, 16]),
)
routes = st.dictionaries(
    st.tuples(st.sampled_from(["100", "101"]), st.sampled_from(PLACES)),
    st.tuples(st.sampled_from(["unicast", "throw"]), st.sampled_from(["wg0", "eth1"])),
).map(lambda made: [RouteSeen(kind, to, device, 0, table) for (table, to), (kind, device) in made.items()])
OWN_MAIN = [RouteSeen("unicast", RANGE, "wg0", 0), RouteSeen("unicast", ALL, "eth0", 0)]


def route_packet(to: IPv4Address, rules: list[RuleSeen], routes: list[RouteSeen]) -> str:
    """The device by which a packet leaves."""
    for rule in rules:
        ways = [one for one in routes if one.table == rule.table and to in one.to and to in rule.to]
        way = max(ways, key=lambda one: one.to.prefixlen, default=None)
        if way and way.kind != "throw" and way.to.prefixlen > rule.suppress:
            return way.device
    raise AssertionError("the main table has a route for everything")


@given(st.lists(rules, max_size=4), routes)
@settings(max_examples=500)
def test_no_packet_goes_astray_untold(rules: list[RuleSeen], routes: list[RouteSeen]) -> None:
    chain = [*rules, MAIN_RULE]
    told = find({A: {"rules": tuple(chain), "elsewhere": frozenset(routes)}}, WORLD)
    for address in map(IPv4Address, ("10.99.0.2", "10.99.3.1")):
        device = route_packet(address, chain, [*OWN_MAIN, *routes])
        event(device)
        assert device == "wg0" or any(one.is_error for one in told)


# ---- a real machine

SETUP = """
ip link add wg0 type veth peer name far; ip link add eth1 type veth peer name far1
for one in wg0 far eth1 far1; do ip link set $one up; done
ip address add 10.99.0.1/16 dev wg0; ip address add fd42:99::1/64 dev wg0 nodad
ip address add 192.0.2.1/24 dev eth1; ip address add 2001:db8::1/64 dev eth1 nodad
ip route add default via 192.0.2.9; ip route add default via 2001:db8::9
"""
EQUAL, WIDER, DEFAULT = (
    f"ip route add {to} dev eth1 table 100;" for to in ("10.99.0.0/16", "10.0.0.0/8", "default")
)
RULE = "ip rule add priority 99"

# name: (what is typed, the packet, whether it goes past wg0 and is told as an error, a warning, or not at all)
TYPED: dict[str, tuple[str, str, str]] = {
    "nothing": ("", "10.99.0.2", ""),
    "the same range": (f"{EQUAL} {RULE} lookup 100", "10.99.0.2", "error"),
    "a part of it": (f"ip route add 10.99.3.0/24 dev eth1 table 100; {RULE} lookup 100", "10.99.3.1", "error"),
    "more than it": (f"{WIDER} {RULE} lookup 100", "10.99.0.2", "error"),
    "everything": (f"{DEFAULT} {RULE} lookup 100", "10.99.0.2", "error"),
    "everything, IPv6": ("ip -6 route add default dev eth1 table 100; ip -6 rule add priority 99 lookup 100", "fd42:99::2", "error"),
    "nowhere": (f"ip route add blackhole 10.99.0.0/16 table 100; {RULE} lookup 100", "10.99.0.2", "error"),
    "a table that no rule names": (EQUAL, "10.99.0.2", ""),
    "a rule whose table is empty": (f"{RULE} lookup 100", "10.99.0.2", ""),
    "a rule after the main table": (f"{EQUAL} ip rule add priority 40000 lookup 100", "10.99.0.2", ""),
    "a rule after one for the main table": (f"{EQUAL} ip rule add priority 50 lookup main; {RULE} lookup 100", "10.99.0.2", ""),
    "the main table first, for something else": (f"{EQUAL} ip rule add priority 50 to 192.0.2.0/24 lookup main; {RULE} lookup 100", "10.99.0.2", "error"),
    "the main table first, for another source": (f"{EQUAL} ip rule add priority 50 from 192.0.2.0/24 lookup main; {RULE} lookup 100", "10.99.0.2", "error"),
    "the main table first, for a mark": (f"{EQUAL} ip rule add priority 50 fwmark 9 lookup main; {RULE} lookup 100", "10.99.0.2", "error"),
    "the main table first, but not our route": (f"{EQUAL} ip rule add priority 50 lookup main suppress_prefixlength 16; {RULE} lookup 100", "10.99.0.2", "error"),
    "wg-quick's default route": (f"{DEFAULT} ip rule add priority 98 lookup main suppress_prefixlength 0; {RULE} not fwmark 0xca6c lookup 100", "10.99.0.2", ""),
    "all without a mark, and nothing before": (f"{DEFAULT} {RULE} not fwmark 0xca6c lookup 100", "10.99.0.2", "error"),
    "all with a mark": (f"{DEFAULT} {RULE} fwmark 7 lookup 100", "10.99.0.2", ""),
    "a mark, and the range itself": (f"{EQUAL} {RULE} fwmark 7 lookup 100", "10.99.0.2 mark 7", "warning"),
    "another uplink": (f"{DEFAULT} {RULE} from 192.0.2.0/24 lookup 100", "10.99.0.2", ""),
    "packets from the underlay": (f"{DEFAULT} {RULE} from 10.99.0.0/16 lookup 100", "10.99.0.2 from 10.99.0.1", "error"),
    "packets to the underlay": (f"{DEFAULT} {RULE} to 10.99.0.0/16 lookup 100", "10.99.0.2", "error"),
    "packets to a part of it": (f"{DEFAULT} {RULE} to 10.99.3.0/24 lookup 100", "10.99.3.1", "error"),
    "packets to elsewhere": (f"{EQUAL} {RULE} to 10.98.0.0/16 lookup 100", "10.99.0.2", ""),
    "all packets to elsewhere": (f"{DEFAULT} {RULE} to 10.98.0.0/16 lookup 100", "10.99.0.2", ""),
    "packets to another part than the table has": (f"ip route add 10.99.4.0/24 dev eth1 table 100; {RULE} to 10.99.3.0/24 lookup 100", "10.99.3.1", ""),
    "the main table first, for a part": (f"{EQUAL} ip rule add priority 50 to 10.99.3.0/24 lookup main; {RULE} lookup 100", "10.99.0.2", "error"),
    "a part by our interface": (f"ip route add 10.99.3.0/24 dev wg0 table 100; {RULE} lookup 100", "10.99.3.1", ""),
    "what comes in elsewhere": (f"{DEFAULT} {RULE} iif eth1 lookup 100", "10.99.0.2", ""),
    "what the machine sends": (f"{DEFAULT} {RULE} iif lo lookup 100", "10.99.0.2", "error"),
    "a default that is passed over": (f"{DEFAULT} {RULE} lookup 100 suppress_prefixlength 0", "10.99.0.2", ""),
    "more than what is passed over": (f"{WIDER} {RULE} lookup 100 suppress_prefixlength 0", "10.99.0.2", "error"),
    "a table that leaves the range out": (f"{DEFAULT} ip route add throw 10.99.0.0/16 table 100; {RULE} lookup 100", "10.99.0.2", ""),
    "a table that has all of a larger one thrown": (f"{DEFAULT} ip route add throw 10.0.0.0/8 table 100; {RULE} lookup 100", "10.99.0.2", ""),
    "a table with our interface in it": (f"{WIDER} ip route add 10.99.0.0/16 dev wg0 table 100; {RULE} lookup 100", "10.99.0.2", ""),
    "the table of Tailscale": ("ip route add 100.100.100.100 dev eth1 table 52; ip route add throw 127.0.0.0/8 table 52; ip rule add priority 5270 lookup 52; ip rule add priority 5250 fwmark 0x80000/0xff0000 unreachable", "10.99.0.2", ""),
    "the tables of Cilium": ("ip route add local default dev lo table 2004; ip rule add priority 9 fwmark 0x200/0xf00 lookup 2004; ip rule del priority 0; ip rule add priority 100 lookup local; ip rule add priority 20 to 10.42.0.7 lookup main; ip rule add priority 111 from 10.42.0.7 lookup 10", "10.99.0.2", ""),
}  # fmt: skip


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    with sandbox() as made:
        made.ask(SETUP)
        yield made


def look(machine: Sandbox) -> NodeState:
    seen = parse_state(A, split_sections(machine.ask(probe_script("wg0", "NONCE")) + "\n", "NONCE"))
    assert seen.garbled == ()
    return seen


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.parametrize(("typed", "packet", "expected"), TYPED.values(), ids=TYPED)
def test_what_the_kernel_does_with_a_packet_is_told(
    typed: str, packet: str, expected: str, machine: Sandbox
) -> None:
    machine.ask(typed)
    way = machine.sh(f"ip route get {packet}").stdout
    told = {str(one.severity) for one in check_detours(settled().weave(), look(machine))}
    assert told == ({expected} if expected else set())
    assert (" dev wg0 " in way) == (not expected)


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.parametrize(
    "typed", [f"{EQUAL} {RULE} lookup 100", f"{DEFAULT} {RULE} to 10.99.0.0/16 lookup 100"]
)
def test_the_commands_of_a_hint_mend_it(typed: str, machine: Sandbox) -> None:
    machine.ask(typed)
    [one] = check_detours(settled().weave(), look(machine))
    commands = [word.strip() for word in re.findall(r"ip -4 [^,)]*", one.hint)]
    assert len(commands) == 2
    for command in commands:
        with sandbox() as other:
            other.ask(f"{SETUP}{typed}\n{command}")
            assert list(check_detours(settled().weave(), look(other))) == []
            assert " dev wg0 " in other.ask("ip route get 10.99.0.2")
