"""Knocking at a machine from outside: what is tried, by whom, what it means; and on real pod networks."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.apply.sandbox import Sandbox
from tests.cluster.shop import CP1, CP2, CP3, DB1, W1, network, shop
from tests.verify.pair import completed, pair
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.intent.fleet import Site
from wireloom.network.network import Peer
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import Endpoint, NodeName, PublicKey, SiteName
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.exposed import (
    Overlay,
    Trial,
    choose_knocks,
    choose_probers,
    choose_trials,
    judge_outside,
    knocking_script,
    read_overlay,
    try_outside,
)

A, B = NodeName("a"), NodeName("b")
KEY = PublicKey("vczH6YJzRo7zAvOJMtW3w5TSG21zUFpNCs4u2G9Sjl0=")
PORTS = (6443, 10250)
OUTER = ip_address("192.0.2.2")
PEER = Peer(B, KEY, Endpoint(OUTER, 51820), (ip_network("10.99.0.2/32"),))
OWN = Overlay("02:00:00:00:00:01", ip_address("10.42.0.0"), 1, 8472)
THEIRS = Overlay("02:00:00:00:00:02", ip_address("10.42.1.0"), 1, 8472)

LINK = """[{"ifindex":7,"ifname":"flannel.1","address":"02:00:00:00:00:02","linkinfo":{"info_kind":"vxlan",\
"info_data":{"id":1,"local":"10.99.0.2","link":"wg0","port":8472}},"addr_info":[{"family":"inet","local":"10.42.1.0","prefixlen":32}]}]"""


# ---- what is tried


def test_each_port_at_each_address_and_a_frame_by_both_ways() -> None:
    peer = replace(PEER, sources=(OUTER, ip_address("2001:db8::2")))
    frame = "8472 1 02:00:00:00:00:02 02:00:00:00:00:01 10.42.1.0 10.42.0.0"
    assert [one.words for one in choose_knocks(peer, PORTS, OWN, THEIRS)] == [
        "ping 192.0.2.2",
        "tcp 192.0.2.2 6443",
        "tcp 192.0.2.2 10250",
        "ping 2001:db8::2",
        "tcp 2001:db8::2 6443",
        "tcp 2001:db8::2 10250",
        f"vxlan inside 10.99.0.2 {frame}",
        f"vxlan beside 192.0.2.2 {frame}",
    ]


@pytest.mark.parametrize(("own", "theirs"), [(None, THEIRS), (OWN, None)], ids=["here", "there"])
def test_no_frame_where_there_is_no_pod_network(own: Overlay | None, theirs: Overlay | None) -> None:
    assert {one.what for one in choose_knocks(PEER, PORTS, own, theirs)} == {"ping", "tcp"}


def test_one_of_another_site_and_one_of_the_same_try_a_machine() -> None:
    fleet = shop("5], private: [10.0.0.5]", "5]")
    db1 = replace(fleet.nodes[DB1], site=SiteName("ams"))
    sites = {**fleet.sites, SiteName("ams"): Site(SiteName("ams"))}
    fleet = replace(fleet, nodes={**fleet.nodes, DB1: db1}, sites=sites)
    made = network(fleet)
    everybody = frozenset(fleet.nodes)
    assert choose_probers(made, CP2, everybody, everybody) == [CP3, DB1]
    assert choose_probers(made, W1, everybody - {DB1}, everybody) == [CP1]
    assert choose_probers(made, W1, frozenset({W1}), everybody) == []


def test_those_in_the_cluster_try_before_others() -> None:
    fleet = shop()
    everybody = frozenset(fleet.nodes)
    assert choose_probers(network(fleet), W1, everybody, {CP2, W1}) == [CP2]
    assert choose_probers(network(fleet), W1, everybody, {W1}) == [DB1]


def test_who_is_not_in_the_cluster_need_not_try_its_pod_network() -> None:
    made = network(shop())
    overlays = {CP1: OWN, CP2: THEIRS}
    chosen = choose_trials(made, {CP1: [CP2, DB1], CP2: [DB1]}, PORTS, overlays)
    assert [(name, one.peer.name, one.overlay) for name, row in chosen.items() for one in row] == [
        (CP2, CP1, True),
        (DB1, CP1, False),
        (DB1, CP2, True),
    ]
    assert not any(
        one.overlay for row in choose_trials(made, {CP1: [CP2]}, PORTS, None).values() for one in row
    )


def test_an_overlay_is_read() -> None:
    assert read_overlay(LINK) == THEIRS


NO_OVERLAY = {
    "nothing": "",
    "no such device": "[{}]",
    "another kind": LINK.replace("info_data", "info"),
    "no address": LINK.replace('"local":"10.42.1.0"', '"broadcast":"10.42.1.0"'),
    "an address that is none": LINK.replace('"local":"10.42.1.0"', '"local":"; reboot"'),
    "a MAC that is none": LINK.replace("02:00:00:00:00:02", "02 00; reboot"),
    "garbage": "[[",
}


@pytest.mark.parametrize("text", NO_OVERLAY.values(), ids=NO_OVERLAY)
def test_what_is_no_overlay(text: str) -> None:
    assert read_overlay(text) is None


# ---- what it means

SILENT = {0: "silent", 1: "silent", 2: "silent", 3: "answered", 4: "sent"}
"""ping, 6443, 10250, the frame through the tunnel, the frame beside it."""

SESSION = f"peer {KEY}\t(none)\t192.0.2.2:51820\t10.99.0.2/32\t1000\t1\t1\t25\nnow 1100 seconds\n"
OLD_SESSION = SESSION.replace("now 1100", "now 1300")
ELSEWHERE = SESSION.replace("192.0.2.2:", "192.0.2.9:")

JUDGED: dict[str, tuple[Mapping[int, str], str, Verdict, str]] = {
    "nothing answers, and it answers pings": (
        {**SILENT, 0: "answered"},
        "",
        Verdict.HOLDS,
        "192.0.2.2: no answer on tcp/6443, tcp/10250; 1 VXLAN frame beside the tunnel, without an answer",
    ),
    "nothing answers, and WireGuard gets there": (
        SILENT,
        SESSION,
        Verdict.HOLDS,
        "192.0.2.2: no answer on tcp/6443, tcp/10250; 1 VXLAN frame beside the tunnel, without an answer",
    ),
    "a port is refused: nobody listens there": (
        {**SILENT, 1: "refused"},
        "",
        Verdict.HOLDS,
        "192.0.2.2: no answer on tcp/6443, tcp/10250; 1 VXLAN frame beside the tunnel, without an answer",
    ),
    "a port is open": (
        {**SILENT, 2: "open"},
        SESSION,
        Verdict.FALSIFIED,
        "192.0.2.2 answers on tcp/10250, beside the tunnel",
    ),
    "both ports are open": (
        {**SILENT, 1: "open", 2: "open"},
        "",
        Verdict.FALSIFIED,
        "192.0.2.2 answers on tcp/6443, tcp/10250, beside the tunnel",
    ),
    "the pod network answers": (
        {**SILENT, 4: "answered"},
        SESSION,
        Verdict.FALSIFIED,
        "192.0.2.2: a VXLAN frame beside the tunnel reached the pod network, and was answered",
    ),
    "nothing shows that it is there": (
        SILENT,
        "",
        Verdict.UNKNOWN,
        "192.0.2.2: nothing shows that it can be reached at all",
    ),
    "a session that is dead": (
        SILENT,
        OLD_SESSION,
        Verdict.UNKNOWN,
        "192.0.2.2: nothing shows that it can be reached at all",
    ),
    "a session with another address": (
        SILENT,
        ELSEWHERE,
        Verdict.UNKNOWN,
        "192.0.2.2: nothing shows that it can be reached at all",
    ),
    "a port was not tried": (
        {0: "answered", 1: "silent", 3: "answered", 4: "sent"},
        "",
        Verdict.UNKNOWN,
        "192.0.2.2: tcp/10250 was not tried",
    ),
    "the frame through the tunnel was not answered": (
        {**SILENT, 3: "sent"},
        SESSION,
        Verdict.UNKNOWN,
        "a VXLAN frame through the tunnel was not answered either: none was told apart",
    ),
    "the frame beside it could not be sent": (
        {**SILENT, 4: "failed ppp0 has no address of Ethernet"},
        SESSION,
        Verdict.UNKNOWN,
        "no VXLAN frame could be sent beside the tunnel: ppp0 has no address of Ethernet",
    ),
}


@pytest.mark.parametrize(("said", "sessions", "verdict", "detail"), JUDGED.values(), ids=JUDGED)
def test_what_the_knocks_mean(said: Mapping[int, str], sessions: str, verdict: Verdict, detail: str) -> None:
    text = sessions + "".join(f"said {number} {what}\n" for number, what in said.items())
    trial = Trial(PEER, tuple(choose_knocks(PEER, PORTS, OWN, THEIRS)), overlay=True)
    [claim] = judge_outside(A, [trial], Completed(0, text, ""))
    assert claim == Claim("exposed", A, B, verdict, detail)


def test_without_vxlan_no_frame_is_missed() -> None:
    trial = Trial(PEER, tuple(choose_knocks(PEER, PORTS, None, None)))
    text = "said 0 answered\nsaid 1 silent\nsaid 2 silent\n"
    [claim] = judge_outside(A, [trial], Completed(0, text, ""))
    assert claim.verdict is Verdict.HOLDS
    [claim] = judge_outside(A, [replace(trial, overlay=True)], Completed(0, text, ""))
    assert claim.verdict is Verdict.UNKNOWN


UNANSWERED = {
    "away": (TransportError("no route to host"), "no route to host"),
    "no perl": (Completed(127, "", "sh: 9: perl: not found\n"), "the knocks failed: sh: 9: perl: not found"),
    "silent": (Completed(0, "", ""), "192.0.2.2: tcp/6443, tcp/10250 was not tried"),
}


@pytest.mark.parametrize(("answer", "why"), UNANSWERED.values(), ids=UNANSWERED)
def test_who_says_nothing_proves_nothing(answer: Completed | TransportError, why: str) -> None:
    trial = Trial(PEER, tuple(choose_knocks(PEER, PORTS, None, None)))
    [claim] = judge_outside(A, [trial], answer)
    assert (claim.verdict, claim.detail) == (Verdict.UNKNOWN, why)


def running(*names: NodeName) -> ClusterSeen:
    return ClusterSeen({name: K3sSeen(name, active="active") for name in names})


async def test_only_machines_that_k3s_runs_on_are_tried_and_the_api_may_be_public() -> None:
    fleet = shop("{ version: v1.34.2+k3s1 }", "{ version: v1.34.2+k3s1, public_api: true }")
    asked = FakeTransport({name: lambda _: Completed(0, "", "") for name in fleet.nodes})
    async with Crew(asked) as crew:
        claims = await try_outside(fleet, network(fleet), crew, running(CP1), frozenset(fleet.nodes))
    assert [(one.source, one.target, one.verdict) for one in claims] == [(CP2, CP1, Verdict.UNKNOWN)]
    [script] = [one for one in asked.scripts_of(CP2) if "tcp 10.0.0.1 10250" in one]
    assert "6443" not in script


async def test_where_nothing_runs_nobody_is_asked() -> None:
    fleet = shop()
    asked = FakeTransport({})
    async with Crew(asked) as crew:
        assert await try_outside(fleet, network(fleet), crew, running(), frozenset(fleet.nodes)) == ()
    assert asked.scripts == []


# ---- on machines

lab = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

# What flannel makes of a machine: a VXLAN device over the tunnel that knows the other one.
POD_NETWORK = """\
ip link add flannel.1 type vxlan id 1 dev wg0 local 10.99.0.{own} dstport 8472 nolearning
ip link set flannel.1 address 02:00:00:00:00:0{own}
ip address add 10.42.{own}.0/32 dev flannel.1
ip link set flannel.1 up
ip route add 10.42.{other}.0/24 via 10.42.{other}.0 dev flannel.1 onlink
ip neigh replace 10.42.{other}.0 lladdr 02:00:00:00:00:0{other} dev flannel.1 nud permanent
bridge fdb append 02:00:00:00:00:0{other} dev flannel.1 dst 10.99.0.{other}
"""
GUARD = """\
nft 'table inet wireloom {
chain arriving { type filter hook prerouting priority -300; iifname "wg0" accept; iifname "lo" accept; udp dport 8472 counter drop; }
chain leaving { type filter hook postrouting priority 0; oifname "wg0" accept; udp dport 8472 counter drop; }
}'
"""  # noqa: E501
LISTENER = "use IO::Socket::INET; IO::Socket::INET->new(Listen => 1, LocalPort => 10250) and sleep"


class TestOnMachines:
    pytestmark = lab

    @pytest.fixture
    def machines(self) -> Iterator[tuple[Sandbox, Sandbox]]:
        with pair() as (a, b):
            a.ask(POD_NETWORK.format(own=1, other=2))
            b.ask(POD_NETWORK.format(own=2, other=1))
            yield a, b

    def knock(self, a: Sandbox, b: Sandbox) -> Claim:
        device = "ip -j -d -4 address show dev flannel.1"
        own, theirs = (read_overlay(machine.ask(device)) for machine in (a, b))
        peer = replace(PEER, sources=(OUTER, ip_address("2001:db8::2")))
        trial = Trial(peer, tuple(choose_knocks(peer, PORTS, own, theirs)), overlay=True)
        [claim] = judge_outside(A, [trial], completed(a, knocking_script("wg0", [trial])))
        return claim

    def test_without_a_guard_the_pod_network_answers_anybody(self, machines: tuple[Sandbox, Sandbox]) -> None:
        claim = self.knock(*machines)
        assert (claim.verdict, claim.detail) == (
            Verdict.FALSIFIED,
            "192.0.2.2: a VXLAN frame beside the tunnel reached the pod network, and was answered",
        )

    def test_with_a_guard_on_both_nobody_has_an_answer(self, machines: tuple[Sandbox, Sandbox]) -> None:
        for machine in machines:
            machine.ask(GUARD)
        claim = self.knock(*machines)
        assert (claim.verdict, claim.detail) == (
            Verdict.HOLDS,
            "192.0.2.2: no answer on tcp/6443, tcp/10250; 2001:db8::2: no answer on tcp/6443, tcp/10250;"
            " 1 VXLAN frame beside the tunnel, without an answer",
        )

    def test_the_guard_here_does_not_stand_for_the_one_there(self, machines: tuple[Sandbox, Sandbox]) -> None:
        """What leaves as a frame of the device passes by the own guard."""
        machines[0].ask(GUARD)
        assert self.knock(*machines).verdict is Verdict.FALSIFIED

    def test_a_port_that_answers(self, machines: tuple[Sandbox, Sandbox]) -> None:
        for machine in machines:
            machine.ask(GUARD)
        machines[1].ask(
            f"setsid perl -e '{LISTENER}' >/dev/null 2>&1 &"
            " until grep -q :280A /proc/net/tcp; do sleep 0.02; done"
        )
        claim = self.knock(*machines)
        assert (claim.verdict, claim.detail) == (
            Verdict.FALSIFIED,
            "192.0.2.2 answers on tcp/10250, beside the tunnel",
        )

    def test_a_port_behind_a_firewall_that_says_nothing(self, machines: tuple[Sandbox, Sandbox]) -> None:
        for machine in machines:
            machine.ask(GUARD)
        machines[1].ask(
            "nft 'table inet own { chain in { type filter hook input priority 0; meta l4proto tcp drop; }; }'"
        )
        assert self.knock(*machines).verdict is Verdict.HOLDS

    def test_a_machine_that_is_away_proves_nothing(self, machines: tuple[Sandbox, Sandbox]) -> None:
        machines[1].ask("ip link set eth0 down")
        assert self.knock(*machines).verdict is Verdict.UNKNOWN

    def test_without_the_way_through_the_tunnel_silence_proves_nothing(
        self, machines: tuple[Sandbox, Sandbox]
    ) -> None:
        machines[1].ask(GUARD + "ip link set flannel.1 down")
        claim = self.knock(*machines)
        assert (claim.verdict, claim.detail) == (
            Verdict.UNKNOWN,
            "a VXLAN frame through the tunnel was not answered either: none was told apart",
        )
