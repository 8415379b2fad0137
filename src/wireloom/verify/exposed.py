"""Try from other machines, beside the tunnel, what nobody outside may have an answer of.

A list of sockets does not tell: k3s hears on all addresses, VXLAN always does (measured), and what keeps
others away may be the guard, another firewall, or nothing.
"""

import json
import re
import secrets
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from wireloom.cluster.seen import ClusterSeen
from wireloom.grammar import count
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network, Peer
from wireloom.observe.probes import PEERS, RUNNING
from wireloom.observe.shell import read_functions
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import API_PORT, ETCD_PORTS, KUBELET_PORT, Address, NodeName
from wireloom.verify.claim import Claim, Verdict, conclude
from wireloom.verify.judge import REJECT_AFTER, Report, read_report

CLAIM = "exposed"
SECONDS = 30.0
MARKER_BYTES = 32
DEVICE = "flannel.1"
"""flannel's VXLAN device for IPv4: its name has the network's number (flannel, pkg/backend/vxlan)."""

_KNOCKER = read_functions("wireloom.verify", "exposed.pl")


@dataclass(frozen=True, slots=True)
class Overlay:
    """A machine's VXLAN device: what a frame must have on it to be taken by the pod network."""

    mac: str
    address: Address
    vni: int
    port: int


@dataclass(frozen=True, slots=True)
class Knock:
    """One thing that is tried. ``words`` are an order for exposed.pl, without its number."""

    words: str
    at: Address
    what: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What one machine tries of another: ``knocks``, in this order; ``overlay``: VXLAN is to be among it."""

    peer: Peer
    knocks: tuple[Knock, ...]
    overlay: bool = False


@dataclass(slots=True)
class Told:
    """What a machine said of its knocks, by number, and of its sessions."""

    said: dict[int, str] = field(default_factory=dict)
    report: Report = field(default_factory=Report)


async def try_outside(
    fleet: Fleet, network: Network, crew: Crew, seen: ClusterSeen, askable: frozenset[NodeName]
) -> tuple[Claim, ...]:
    """The claim about each machine that k3s runs on, from up to two others; none without an underlay."""
    kubernetes = fleet.kubernetes
    if kubernetes is None or not fleet.has_underlay:
        return ()
    running = [name for name in fleet.nodes if (one := seen.machine(name)) and one.running]
    probers = {name: choose_probers(network, name, askable, running) for name in running}
    ports = (*(() if kubernetes.public_api else (API_PORT,)), *ETCD_PORTS, KUBELET_PORT)
    overlays: dict[NodeName, Overlay] | None = None
    if kubernetes.flannel_backend == "vxlan" and any(one.version == 4 for one in kubernetes.pods):
        overlays = await _learn_overlays(crew, askable.intersection(running))
    trials = choose_trials(network, probers, ports, overlays)
    scripts = {name: knocking_script(network.interface, tried) for name, tried in trials.items()}
    answers = await crew.run(scripts, timeout=SECONDS)
    return tuple(
        claim for name, tried in trials.items() for claim in judge_outside(name, tried, answers[name])
    )


def choose_trials(
    network: Network,
    probers: Mapping[NodeName, Sequence[NodeName]],
    ports: Sequence[int],
    overlays: Mapping[NodeName, Overlay] | None,
) -> dict[NodeName, list[Trial]]:
    """What each machine tries of others. ``overlays`` is None where pods don't go by VXLAN.

    Who is not in the cluster can't try that: it is told only where nobody is who could.
    """
    trials: dict[NodeName, list[Trial]] = {}
    for target, others in probers.items():
        able = overlays is not None and not set(others).isdisjoint(probers)
        for prober in others:
            [peer] = (one for one in network.peers(prober) if one.name == target)
            own, theirs = (overlays or {}).get(prober), (overlays or {}).get(target)
            overlay = overlays is not None and (prober in probers or not able)
            trial = Trial(peer, tuple(choose_knocks(peer, ports, own, theirs)), overlay)
            trials.setdefault(prober, []).append(trial)
    return trials


def choose_probers(
    network: Network, target: NodeName, askable: frozenset[NodeName], inside: Container[NodeName]
) -> list[NodeName]:
    """Who tries a machine: of those that dial it one from another site and one from its own.

    Those ``inside`` the cluster first, since only they can try VXLAN; and the next ones after the machine
    before the others, so that not all falls to the first.
    """
    names = list(network.members)
    place = names.index(target)
    site = network.members[target].site
    chosen: dict[bool, NodeName] = {}
    for name in sorted((*names[place + 1 :], *names[:place]), key=lambda one: one not in inside):
        peer = next((one for one in network.peers(name) if one.name == target), None)
        if name in askable and peer is not None and peer.endpoint is not None:
            chosen.setdefault(network.members[name].site == site, name)
    return list(chosen.values())


async def _learn_overlays(crew: Crew, names: Iterable[NodeName]) -> dict[NodeName, Overlay]:
    script = f"ip -j -d -4 address show dev {DEVICE} 2>/dev/null"
    answers = await crew.run(dict.fromkeys(names, script), timeout=SECONDS)
    found = {name: read_overlay(one.stdout) for name, one in answers.items() if isinstance(one, Completed)}
    return {name: overlay for name, overlay in found.items() if overlay is not None}


_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def read_overlay(text: str) -> Overlay | None:
    """``ip -j -d -4 address show dev flannel.1``; None where there is none, or it makes no sense."""
    try:
        [link] = (one for one in json.loads(text) if one)
        data = link["linkinfo"]["info_data"]
        address = ip_address(link["addr_info"][0]["local"])
        if not _MAC.fullmatch(link["address"]) or address.version != 4:
            return None
        return Overlay(link["address"], address, int(data["id"]), int(data["port"]))
    except (ValueError, LookupError, TypeError):
        return None


def choose_knocks(
    peer: Peer, ports: Iterable[int], own: Overlay | None, theirs: Overlay | None
) -> Iterator[Knock]:
    """A ping and each port at each address beside the tunnel; a frame for the pod network by both ways.

    The way through the tunnel shows that such a frame is answered.
    """
    assert peer.endpoint is not None  # noqa: S101  # the caller chooses by it
    outside = list(dict.fromkeys([peer.endpoint.address, *peer.sources]))
    for address in outside:
        yield Knock(f"ping {address}", address, "ping")
        for port in ports:
            yield Knock(f"tcp {address} {port}", address, "tcp", port)
    inside = next((one.network_address for one in peer.allowed_ips if one.version == 4), None)
    if own is None or theirs is None or inside is None:
        return
    frame = f"{theirs.port} {theirs.vni} {theirs.mac} {own.mac} {theirs.address} {own.address}"
    yield Knock(f"vxlan inside {inside} {frame}", inside, "control", theirs.port)
    for address in outside:
        if address.version == 4:
            yield Knock(f"vxlan beside {address} {frame}", address, "vxlan", theirs.port)


def knocking_script(interface: str, trials: Sequence[Trial]) -> str:
    """Shell that tries all of it side by side; prints ``said NUMBER WHAT``, and the sessions as for pings."""
    knocks = [one for trial in trials for one in trial.knocks]
    orders = "".join(f"{number} {one.words}\n" for number, one in enumerate(knocks))
    marker = secrets.token_hex(MARKER_BYTES)
    lines = [
        f"interface={interface}",
        RUNNING,
        PEERS,
        "date +'now %s seconds'",
        f"perl - {marker} <<'KNOCKS'\n{_KNOCKER}{orders}KNOCKS",
    ]
    return "\n".join([*lines, ""])


_SAID = re.compile(r"said (\d+) (.+)")


def read_told(text: str) -> Told:
    """The output of ``knocking_script``; what makes no sense is left out, and unknown then."""
    said = (_SAID.fullmatch(line) for line in text.splitlines())
    return Told({int(one[1]): one[2] for one in said if one}, read_report(text))


def judge_outside(
    prober: NodeName, trials: Sequence[Trial], answer: Completed | TransportError
) -> Iterator[Claim]:
    """One claim for each machine that was tried."""
    told = Told() if isinstance(answer, TransportError) else read_told(answer.stdout)
    why = answer.what if isinstance(answer, TransportError) else _failure(answer)
    first = 0
    for trial in trials:
        said = {place: told.said.get(first + place, "") for place in range(len(trial.knocks))}
        first += len(trial.knocks)
        verdict, detail = (Verdict.UNKNOWN, why) if why else _judge(trial, said, told.report)
        yield Claim(CLAIM, prober, trial.peer.name, verdict, detail)


def _failure(answer: Completed) -> str:
    if not answer.status:
        return ""
    return f"the knocks failed: {(answer.stderr.strip().splitlines() or ['perl is not there?'])[-1][-200:]}"


def _judge(trial: Trial, said: Mapping[int, str], report: Report) -> tuple[Verdict, str]:
    """Each address by itself; and the pod network, where packets go by VXLAN."""
    rows = [(knock, said[place]) for place, knock in enumerate(trial.knocks)]
    addresses = list(dict.fromkeys(knock.at for knock, _ in rows if knock.what == "ping"))
    judged = [_judge_address(trial.peer, address, rows, report) for address in addresses]
    if trial.overlay:
        judged.append(_judge_overlay(rows))
    verdict = conclude(one for one, _ in judged)
    return verdict, "; ".join(detail for one, detail in judged if one is verdict)


def _judge_address(
    peer: Peer, address: Address, rows: Sequence[tuple[Knock, str]], report: Report
) -> tuple[Verdict, str]:
    """Silence counts only where something shows that the machine is there: an answer, or a session."""
    tcp = {knock.port: heard for knock, heard in rows if knock.at == address and knock.what == "tcp"}
    pinged = any(heard == "answered" for knock, heard in rows if knock.at == address and knock.what == "ping")
    opened = sorted(port for port, heard in tcp.items() if heard == "open")
    if opened:
        return Verdict.FALSIFIED, f"{address} answers on {_spell(opened)}, beside the tunnel"
    untried = sorted(port for port, heard in tcp.items() if not heard)
    if untried:
        return Verdict.UNKNOWN, f"{address}: {_spell(untried)} was not tried"
    reached = "refused" in tcp.values() or pinged or _has_session(peer, address, report)
    if not reached:
        return Verdict.UNKNOWN, f"{address}: nothing shows that it can be reached at all"
    return Verdict.HOLDS, f"{address}: no answer on {_spell(sorted(tcp))}"


def _judge_overlay(rows: Sequence[tuple[Knock, str]]) -> tuple[Verdict, str]:
    frames = [(knock, heard) for knock, heard in rows if knock.what == "vxlan"]
    answered = [str(knock.at) for knock, heard in frames if heard == "answered"]
    if answered:
        what = "a VXLAN frame beside the tunnel reached the pod network, and was answered"
        return Verdict.FALSIFIED, f"{', '.join(answered)}: {what}"
    control = next((heard for knock, heard in rows if knock.what == "control"), "")
    if not control:
        return Verdict.UNKNOWN, f"{DEVICE} is not there on both machines: no VXLAN frame was tried"
    if control != "answered":
        return (
            Verdict.UNKNOWN,
            "a VXLAN frame through the tunnel was not answered either: none was told apart",
        )
    failed = [heard.removeprefix("failed ") for _, heard in frames if heard != "sent"]
    if failed or not frames:
        return (
            Verdict.UNKNOWN,
            f"no VXLAN frame could be sent beside the tunnel: {'; '.join(failed) or 'IPv6'}",
        )
    return Verdict.HOLDS, f"{count(len(frames), 'VXLAN frame')} beside the tunnel, without an answer"


def _has_session(peer: Peer, address: Address, report: Report) -> bool:
    """WireGuard talks with it at that address: packets get there."""
    seen = report.peers.get(peer.public_key) if peer.public_key else None
    if seen is None or seen.endpoint is None or not seen.handshake:
        return False
    return seen.endpoint.address == address and report.now - seen.handshake <= REJECT_AFTER


def _spell(ports: Iterable[int]) -> str:
    return ", ".join(f"tcp/{port}" for port in ports)
