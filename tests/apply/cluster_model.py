"""Machines that take the steps for k3s as text, and do in memory what these would do."""

import re
from dataclasses import dataclass, field

from wireloom.apply.k3s import HANDS
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

SECRET = "5ec7e7" * 10
TOKENS = {
    "server": f"K10aa::server:{SECRET}",
    "agent": f"K10aa::node:{SECRET}",
    "short": SECRET,
}


@dataclass
class Model:
    """``runs``: machines whose k3s runs. ``broken``: never comes up, and what its log says. ``slow``: rounds
    until it is ready. ``away``: doesn't answer. ``log``: what happened, in order."""

    servers: tuple[str, ...]
    agents: tuple[str, ...]
    runs: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)
    slow: dict[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @property
    def transport(self) -> FakeTransport:
        return FakeTransport({NodeName(name): self._answer(name) for name in (*self.servers, *self.agents)})

    def _answer(self, name: str):  # type: ignore[no-untyped-def]
        if name in self.away:
            return TransportError(f"{name} does not answer", unreachable=True)
        return lambda script: self.do(name, script)

    def do(self, name: str, script: str) -> Completed:
        if not script.startswith(HANDS):
            return Completed(0, "outcome=nothing\n", "")  # the lease's
        out = ""
        for line in script[len(HANDS) :].splitlines():
            call = re.match(r"(wants|fetch|finish|put|enable|make_token|hand_on|wake|gate|ask)\b ?(.*)", line)
            if call is None:
                continue
            word, rest = call[1], call[2]
            if word in self.refused.get(name, ""):
                return Completed(1, "", f"wireloom: {word} is refused\n")
            out += self._call(name, word, rest)
        return Completed(0, out, "")

    def _call(self, name: str, word: str, rest: str) -> str:
        if word == "wants":
            return "have=0\n"
        if word == "hand_on":
            kind = rest.split(maxsplit=1)[0]
            return f"{kind}={TOKENS[kind]}\n"
        if word == "gate":
            return self._gate(name)
        if word == "ask":
            return self._ask(name)
        if word == "wake":
            self.runs.add(name)
        self.log.append(f"{name}: {word} {rest}".strip())
        return ""

    def _gate(self, name: str) -> str:
        if name in self.broken:
            return f"state=activating\nrestarts=3\nsaid={self.broken[name]}\n"
        return f"state={'active' if name in self.runs else 'inactive'}\nrestarts=0\n"

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
