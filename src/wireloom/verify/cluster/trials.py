"""What each machine tries, from itself and from within its probe: the script, and what came of it. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from wireloom.cluster.seen import Member
from wireloom.observe.shell import read_functions
from wireloom.values import KUBELET_PORT, Address, NodeName
from wireloom.verify.cluster.intended import BRIDGE
from wireloom.verify.cluster.probes import FUNCTIONS, PORT, Probes, mark_of, pod_name
from wireloom.verify.probe import ICMP_HEADER, IP_HEADER, PARALLEL

API_SERVICE_PORT = 443
CONTROL = "control"
"""In the place of a claim's kind: what must work, or the machine's other failures tell nothing."""

PARALLEL_KUBECTL = 8
KUBECTL_SECONDS = 30
"""What an API server and a kubelet may take to answer; a busy server takes some seconds for kubectl alone."""

_KNOCK = read_functions("wireloom.verify.cluster", "knock.pl")


class How(Enum):
    """What a machine does to try something."""

    FETCH = "fetch"
    REACH = "reach"
    RESOLVE = "resolve"
    PING = "ping"
    FULL = "full"
    LOGS = "logs"
    EXEC = "exec"
    ASK = "ask"

    @property
    def knocks(self) -> bool:
        """Whether the program in knock.pl does it."""
        return self in {How.FETCH, How.REACH, How.RESOLVE}


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that a machine tries, for a claim of that kind about ``target`` (None: about itself alone).

    ``inside``: from within its probe's network. ``expected`` is what must come back, where that is known.
    """

    claim: str
    target: NodeName | None
    how: How
    inside: bool = True
    address: Address | None = None
    port: int = 0
    expected: str = ""


@dataclass(slots=True)
class Tried:
    """What one machine said. ``said`` by the number of the trial, ``bridged`` are the devices of its pods.

    ``process``: the probe's, None where it was not found; ``mtu`` that of the pod's interface.
    """

    said: dict[int, str] = field(default_factory=dict)
    process: int | None = None
    mtu: int = 0
    bridged: set[str] = field(default_factory=set)
    ended: bool = False

    def amended(self, second: "Tried") -> "Tried":
        """With what a second try of some trials told."""
        return Tried(
            said=self.said | second.said,
            process=second.process or self.process,
            mtu=second.mtu or self.mtu,
            bridged=self.bridged | second.bridged,
            ended=second.ended,
        )


def choose_trials(
    name: NodeName, others: Sequence[NodeName], members: Mapping[NodeName, Member], probes: Probes
) -> Iterator[Trial]:
    """What a machine whose probe is ready tries with the others."""
    for address in probes.pods[name].addresses:
        yield Trial(CONTROL, None, How.FETCH, address=address, port=PORT, expected=name)
    for address in probes.api:
        yield Trial("pod-service", None, How.REACH, address=address, port=API_SERVICE_PORT, expected="open")
    if probes.api:
        yield Trial("dns", None, How.RESOLVE, address=probes.api[0], expected=str(probes.api[0]))
    for other in others:
        yield from _with_node(other, members[other])
        if not probes.ready(other):
            continue
        for address in probes.pods[other].addresses:
            yield Trial("pod-pod", other, How.FETCH, address=address, port=PORT, expected=other)
            yield Trial("node-pod", other, How.FETCH, False, address, PORT, other)
            yield Trial("pod-mtu", other, How.FULL, address=address)
            yield Trial("pod-mtu", other, How.PING, address=address)
        for address in probes.services.get(other, ()):
            yield Trial("pod-service", other, How.FETCH, address=address, port=PORT, expected=other)


def _with_node(name: NodeName, member: Member) -> Iterator[Trial]:
    for address in member.internal:
        yield Trial("pod-node", name, How.PING, address=address)
        yield Trial("pod-node", name, How.REACH, address=address, port=KUBELET_PORT)


def choose_requests(name: NodeName, others: Sequence[NodeName], probe: str) -> Iterator[Trial]:
    """What a server asks of the kubelets of machines with a ready probe, through its own API server."""
    yield Trial(CONTROL, None, How.ASK, inside=False)
    for other in others:
        target = None if other == name else other
        yield Trial("logs", target, How.LOGS, False, expected=f"probe {mark_of(probe, other)}")
        yield Trial("exec", target, How.EXEC, False, expected=other)


def trying_script(probe: str, name: NodeName, nodes: Sequence[NodeName], trials: Mapping[int, Trial]) -> str:
    """Shell that tries all of it, by number, side by side.

    Prints ``said NUMBER TEXT`` for each, ``process``, ``mtu`` and ``bridged`` with what they are, ``done``.
    Only names, addresses and numbers go into it.
    """
    lines = [
        f"probe={probe} patience={KUBECTL_SECONDS}\n{FUNCTIONS}",
        f"list_bridged {BRIDGE}",
        f"if find_probe '{mark_of(probe, name)}'; then",
        *_knock('within perl - "$server" "$domain"', trials, inside=True),
        *_side_by_side(list(_pings(trials)), PARALLEL),
        "wait; fi",
        *_knock("perl -", trials, inside=False),
        *_side_by_side(list(_requests(trials, nodes)), PARALLEL_KUBECTL),
        "wait; echo done",
    ]
    return "\n".join([*lines, ""])


def _knock(program: str, trials: Mapping[int, Trial], *, inside: bool) -> Iterator[str]:
    orders = [
        f"{number} {one.how.value} {_where(one)}"
        for number, one in trials.items()
        if one.how.knocks and one.inside is inside
    ]
    if orders:
        text = "\n".join(orders)
        yield f"{program} <<'ORDERS' 2>&1 &\n{_KNOCK}{text}\nORDERS"


def _where(trial: Trial) -> str:
    if trial.how is How.RESOLVE:
        return f"kubernetes.default.svc {trial.address.version if trial.address else 4}"
    return f"{trial.address} {trial.port}"


def _pings(trials: Mapping[int, Trial]) -> Iterator[str]:
    for number, one in trials.items():
        if one.address is None or one.how not in {How.PING, How.FULL}:
            continue
        headers = IP_HEADER[one.address.version] + ICMP_HEADER
        size = f"$((mtu - {headers}))" if one.how is How.FULL else "56"
        yield f"ping_within {number} {one.address} {size}"


def _requests(trials: Mapping[int, Trial], nodes: Sequence[NodeName]) -> Iterator[str]:
    """The place of a trial's target among ``nodes`` is the number of its pod, which its expectation names."""
    for number, one in trials.items():
        match one.how:
            case How.ASK:
                yield f"ask_kubectl {number} get pods -o name"
            case How.LOGS:
                owner = NodeName(one.expected.rstrip("/").rpartition("/")[2])
                yield f"ask_kubectl {number} logs {pod_name(nodes, owner)}"
            case How.EXEC:
                owner = NodeName(one.expected)
                yield f"ask_kubectl {number} exec {pod_name(nodes, owner)} -- cat /srv/index.html"


def _side_by_side(commands: Sequence[str], limit: int) -> Iterator[str]:
    for start in range(0, len(commands), limit):
        batch = commands[start : start + limit]
        yield from (f"{command} &" for command in batch)
        if start + limit < len(commands):
            yield "wait"


_SAID = re.compile(r"said (\d+) (.*)")


def read_tried(text: str) -> Tried:
    """What ``trying_script`` printed; lines that make no sense are left out."""
    tried = Tried()
    for line in text.splitlines():
        if match := _SAID.fullmatch(line):
            tried.said[int(match[1])] = match[2]
            continue
        match line.split(" "):
            case ["process", number] if number.isdecimal():
                tried.process = int(number)
            case ["mtu", number] if number.isdecimal():
                tried.mtu = int(number)
            case ["bridged", device]:
                tried.bridged.add(device)
            case ["done"]:
                tried.ended = True
    return tried
