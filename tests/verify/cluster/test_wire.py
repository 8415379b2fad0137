"""Marked packets from and to pods: from captures to verdicts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest

from tests.verify.cluster.cluster import CP1, MEMBERS, PROBES, W1, intended
from wireloom.values import Endpoint, NodeName
from wireloom.verify.canary import Chosen, Passport, Purpose
from wireloom.verify.cluster.intended import Intended
from wireloom.verify.cluster.wire import Load, PodWire, choose_load, judge_pod_wire
from wireloom.verify.packets import DATA, ICMP, TCP, UDP, Packet
from wireloom.verify.wire import Sender, Watch, gather

CHOSEN = Chosen(bytes.fromhex("a55a001122334455"), 640, 50001)
ENDPOINT = Endpoint(ip_address("192.0.2.2"), 51820)
MARKER = CHOSEN.run + bytes(24)
PROTOCOLS = {"icmp": ICMP, "udp": UDP, "tcp": TCP}
CONTROLLED, POD = Purpose.CONTROL, Purpose.POD


def load_of(*, under: bool = True) -> Load:
    found_at = {W1: ENDPOINT}
    return choose_load(
        [W1], MEMBERS, PROBES, chosen=CHOSEN, markers={W1: MARKER}, found_at=found_at, under=under
    )


LOAD = load_of()


def test_what_is_sent() -> None:
    assert LOAD.titles == (
        *(f"{protocol} from pod to pod" for protocol in PROTOCOLS),
        *(f"{protocol} from pod to machine" for protocol in PROTOCOLS),
        *(f"{protocol} from machine to pod" for protocol in PROTOCOLS),
        "",
        "",
        "",
    )
    assert len(LOAD.inside) == 6
    assert [str(one.address) for one in LOAD.canaries[::3]] == [
        "10.42.1.7",
        "10.99.0.2",
        "10.42.1.7",
        "192.0.2.2",
    ]
    assert [one.purpose for one in LOAD.outside] == [POD] * 3 + [CONTROLLED] * 3


def test_without_an_underlay_nothing_is_claimed_of_what_pods_send_machines() -> None:
    assert not any("to machine" in one for one in load_of(under=False).titles)


@dataclass(frozen=True, slots=True)
class Seen:
    node: NodeName
    packet: Packet
    number: int | None = None


def packet(device: str, number: int | None, *, outgoing: bool, payload: bytes | None = None) -> Packet:
    """A marked packet as it is captured, be it in another one or not."""
    canary = LOAD.canaries[number or 0]
    marked = b"vxlan" + canary.marker + (number or 0).to_bytes(4) + bytes(4)
    here, there = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    protocol = UDP if payload else PROTOCOLS[canary.protocol]
    return Packet(
        1.0,
        device,
        outgoing,
        here,
        there,
        protocol,
        51820,
        51820,
        752 if payload else 690,
        payload or marked,
        False,
    )


def usual() -> list[Seen]:
    """What is captured of all of them where all is well."""
    seen = [Seen(CP1, packet("eth0", None, outgoing=True, payload=DATA + bytes(60)))]
    for number, title in enumerate(LOAD.titles):
        if not title:
            seen.append(Seen(CP1, packet("eth0", number, outgoing=True), number))
            continue
        for device, node, outgoing in (
            ("vethcp1", CP1, False),
            ("cni0", CP1, False),
            ("flannel.1", CP1, True),
            ("wg0", CP1, True),
            ("wg0", W1, False),
            ("flannel.1", W1, False),
            ("cni0", W1, True),
            ("vethw1", W1, True),
        ):
            seen.append(Seen(node, packet(device, number, outgoing=outgoing), number))
    return seen


def told(
    seen: list[Seen],
    *,
    faults: dict[NodeName, str] | None = None,
    refused: dict[int, str] | None = None,
    unsent: bool = False,
    goal: Intended | None = None,
) -> tuple[str, str]:
    watches = {
        node: Watch([one.packet for one in seen if one.node == node], (faults or {}).get(node, ""))
        for node in (CP1, W1)
    }
    passports = {
        Passport(one.marker, number, 0): (refused or {}).get(number, "")
        for number, one in enumerate(LOAD.canaries)
    }
    sender = Sender(LOAD.canaries, {} if unsent else passports, {W1: ENDPOINT}, "no answer" if unsent else "")
    wire = gather("wg0", CHOSEN, watches, {CP1: sender})
    field = PodWire(goal or intended(), wire, {CP1: sender}, {CP1: LOAD}, {CP1: {"vethcp1"}, W1: {"vethw1"}})
    (claim,) = judge_pod_wire(CP1, [W1], field)
    assert bool(claim.packets) == (
        claim.verdict == "holds" or "in clear" in claim.detail or "come out" in claim.detail
    )
    return str(claim.verdict), claim.detail


def without(lost: Callable[[Seen], bool]) -> list[Seen]:
    return [one for one in usual() if not lost(one)]


def beside(number: int, device: str = "eth0", node: NodeName = CP1) -> list[Seen]:
    return [*usual(), Seen(node, packet(device, number, outgoing=True), number)]


CASES = {
    "all in the tunnel": (
        told(usual()),
        ("holds", "9 kinds of packets by wg0, 1 message to 192.0.2.2:51820 carried them, nothing in clear"),
    ),
    "beside the tunnel, too": (
        told(beside(1)),
        ("falsified", "in clear on eth0 of cp1: udp from pod to pod"),
    ),
    "beside it at the other end": (
        told(beside(4, "eth1", W1)),
        ("falsified", "in clear on eth1 of w1: udp from pod to machine"),
    ),
    "in clear outweighs a sender that is gone": (
        told(beside(1), unsent=True),
        ("falsified", "in clear on eth0 of cp1: udp from pod to pod"),
    ),
    "on another pod's device that is not this machine's": (
        told(beside(1, "vethw1")),
        ("falsified", "in clear on vethw1 of cp1: udp from pod to pod"),
    ),
    "not into the tunnel": (
        told(without(lambda one: one.number == 0 and one.packet.device == "wg0")),
        ("falsified", "did not go into a tunnel at cp1: icmp from pod to pod"),
    ),
    "refused by the kernel": (
        told(without(lambda one: one.number == 0), refused={0: "Network is unreachable"}),
        ("falsified", "did not go into a tunnel at cp1: icmp from pod to pod (Network is unreachable)"),
    ),
    "lost on the way": (
        told(without(lambda one: one.number == 2 and one.node == W1)),
        ("falsified", "went into the tunnel at cp1 and did not come out at w1: tcp from pod to pod"),
    ),
    "no control": (
        told(without(lambda one: one.packet.device == "eth0" and one.number is not None)),
        ("unknown", "no control beside the tunnel was seen on cp1: its capture proves nothing"),
    ),
    "no control of one protocol": (
        told(without(lambda one: one.packet.device == "eth0" and one.number == 11)),
        ("unknown", "no control over tcp was seen on cp1: its capture proves nothing"),
    ),
    "the other end is not watched": (
        told(without(lambda one: one.node == W1), faults={W1: "no tcpdump there"}),
        ("unknown", "w1: no tcpdump there"),
    ),
    "no message": (
        told(without(lambda one: one.number is None)),
        ("unknown", "no WireGuard message of their size to 192.0.2.2:51820 was seen"),
    ),
    "nothing was sent": (told([], unsent=True), ("unknown", "no answer")),
}


@pytest.mark.parametrize(("claim", "expected"), CASES.values(), ids=CASES)
def test_verdicts(claim: tuple[str, str], expected: tuple[str, str]) -> None:
    assert claim == expected


def test_flannels_own_wireguard_is_a_tunnel() -> None:
    seen = [
        replace(one, packet=replace(one.packet, device=one.packet.device.replace("wg0", "flannel-wg")))
        for one in usual()
    ]
    assert told(seen, goal=intended("cni", "wireguard-native"))[0] == "holds"
    assert told(seen)[0] == "falsified"
