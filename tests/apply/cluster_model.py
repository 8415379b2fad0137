"""Machines that take the steps for k3s as text, and do in memory what these would do."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from wireloom.apply.k3s import HANDS
from wireloom.cluster.parse import parse_stamp
from wireloom.cluster.places import AGENT_TOKEN, SERVER_TOKEN, SETTINGS, STATE, Role
from wireloom.cluster.seen import FileSeen, K3sSeen
from wireloom.cluster.settings import read_entry
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

SECRET = "5ec7e7" * 10
TOKENS = {
    "server": f"K10aa::server:{SECRET}",
    "agent": f"K10aa::node:{SECRET}",
    "short": SECRET,
}
CALL = re.compile(
    r"^text\(\) \{ printf %s (?P<text>'(?:[^']|'\"'\"')*'|\S+); \}$"
    r"|^(?P<word>wants|fetch|finish|put|enable|make_token|hand_on|note_restart|wake|gate|ask)\b"
    r" ?(?P<rest>.*)$",
    re.MULTILINE,
)


class Fault(Enum):
    """When the connection breaks: the script was not run, or nobody heard what came of it."""

    BEFORE = 1
    AFTER = 2


@dataclass
class Machine:
    """``runs``: the version and settings that its k3s was started with; None while it does not run."""

    name: NodeName
    role: Role
    version: str | None = None
    files: dict[str, FileSeen] = field(default_factory=dict)
    enabled: bool = False
    data: bool = False
    due: bool = False
    runs: tuple[str | None, str] | None = None

    def seen(self) -> K3sSeen:
        """What a look at it brings."""
        there = self.role.unit_path in self.files
        note = self.files.get(STATE)
        return K3sSeen(
            self.name,
            version=self.version,
            role=self.role if there else None,
            enabled=self.enabled,
            active="active" if self.runs else "inactive",
            files={path: one for path, one in self.files.items() if path in {SETTINGS, self.role.unit_path}},
            ran=self.role if self.data else None,
            data=self.data,
            tokens=frozenset({SERVER_TOKEN, AGENT_TOKEN} & set(self.files)),
            restart_due=self.due,
            stamp=parse_stamp(note.text) if note else None,
        )


@dataclass
class Model:
    """``runs``: machines whose k3s runs. ``broken``: never comes up, and what its log says. ``deaf``: its API
    hangs. ``slow``: rounds until it is ready. ``away``: doesn't answer. ``log``: what happened, in order.
    ``begun``: whose k3s has begun a cluster. ``held``: for an apply. ``fault``: asked before each script, by
    its number."""

    servers: tuple[str, ...]
    agents: tuple[str, ...]
    runs: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    slow: dict[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    fault: Callable[[int], Fault | None] = lambda _: None
    count: int = 0
    machines: dict[str, Machine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Every machine is blank."""
        roles = dict.fromkeys(self.servers, Role.SERVER) | dict.fromkeys(self.agents, Role.AGENT)
        self.machines = {name: Machine(NodeName(name), role) for name, role in roles.items()}

    @property
    def transport(self) -> FakeTransport:
        return FakeTransport({NodeName(name): self._answer(name) for name in (*self.servers, *self.agents)})

    def _answer(self, name: str):  # type: ignore[no-untyped-def]
        if name in self.away:
            return TransportError(f"{name} does not answer", unreachable=True)
        return lambda script: self.do(name, script)

    def do(self, name: str, script: str) -> Completed:
        """Carry a script out; where there is a fault the connection breaks, before it or after."""
        self.count += 1
        fault = self.fault(self.count - 1)
        done = None if fault is Fault.BEFORE else self._carry_out(name, script)
        if fault is not None or done is None:
            raise TransportError(f"{name} is gone", unreachable=True)
        return done

    def _carry_out(self, name: str, script: str) -> Completed:
        if not script.startswith(HANDS):
            held = re.search(r"^hold [0-9a-f]{16}", script, re.MULTILINE) is not None
            self.held = self.held | {name} if held else self.held - {name}
            return Completed(0, "outcome=nothing\n", "")
        out, text = "", ""
        for call in CALL.finditer(script[len(HANDS) :]):
            if call["word"] is None:
                text = shlex.split(call["text"])[0]
                continue
            if call["word"] in self.refused.get(name, ""):
                return Completed(1, "", f"wireloom: {call['word']} is refused\n")
            out += self._call(name, call["word"], call["rest"], text)
        return Completed(0, out, "")

    def _call(self, name: str, word: str, rest: str, text: str) -> str:
        machine, words = self.machines[name], shlex.split(rest)
        if word == "wants":
            return "have=all\n" if words[3] and machine.version == words[3] else "have=0\n"
        if word == "hand_on":
            return f"{words[0]}={TOKENS[words[0]]}\n"
        if word == "gate":
            return self._gate(name)
        if word == "ask":
            return "" if name in self.deaf else self._ask(name)
        if word == "finish":
            machine.version = words[3]
        elif word == "put":
            machine.files[words[0]] = FileSeen(text, int(words[1], 8))
        elif word == "make_token":
            machine.files.setdefault(words[0], FileSeen("", 0o600))
        elif word == "enable":
            machine.enabled = True
        elif word == "note_restart":
            machine.due = True
        elif word == "wake":
            self._wake(machine)
        self.log.append(f"{name}: {word} {rest}".strip())
        return ""

    def _wake(self, machine: Machine) -> None:
        settings = machine.files[SETTINGS].text if SETTINGS in machine.files else ""
        if read_entry(settings) == "" and not machine.data:
            self.begun.append(machine.name)
        machine.runs, machine.data, machine.due = (machine.version, settings), True, False
        self.runs.add(machine.name)

    def _gate(self, name: str) -> str:
        if name in self.broken:
            return f"state=activating\nrestarts=3\nsaid={self.broken[name]}\n"
        if name in self.servers and not self._has_majority():
            return "state=activating\nrestarts=0\n"
        return f"state={'active' if name in self.runs else 'inactive'}\nrestarts=0\n"

    def _has_majority(self) -> bool:
        """Whether so many of etcd's members run that it takes part in anything."""
        members = {name for name in self.servers if self.machines[name].data}
        return not members or 2 * len(members & self.runs) > len(members)

    def _ask(self, name: str) -> str:
        lines = ["readyz=ok"]
        for one in sorted(self.runs - set(self.broken)):
            left = self.slow.get(one, 0)
            self.slow[one] = left - 1
            ready = "False" if left > 0 else "True"
            voter = "True" if one in self.servers else ""
            lines.append(f"node={one} {ready}? {voter}?")
            if left <= 0 and f"{one}: ready" not in self.log:
                self.log.append(f"{one}: ready")
        return "\n".join([*lines, ""])
