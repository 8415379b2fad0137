"""A mesh of real machines that things are done to, and one question after each: is every node old or new?

Two networks are known, `wide` and `slim` with less of all. The machines have one of them, the fleet file
wants the other, and something happens on the way. So a test leaves the machines with the network that it
began to make, and the next one goes the other way.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from tests.faults.world import LOOK, Mesh, NodeLook
from tests.machines.machine import Machine
from tests.machines.machines import Machines
from tests.machines.patience import wait_for

UNITS = "echo left $(systemctl list-units --all --plain --no-legend 'wireloom-*' | cut -d ' ' -f 1)\n"

FLEET = """\
fleet: trial
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: {} }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1] }
  w1: { site: fsn, ssh: root@203.0.113.2, public: [203.0.113.2] }
  db1: { site: fsn, ssh: root@203.0.113.3, public: [203.0.113.3] }
  far1: { site: fsn, ssh: root@203.0.113.4, public: [203.0.113.4] }
"""
NAMES = ("cp1", "w1", "db1", "far1")
ADDRESSES = {"cp1": "10.99.0.1", "w1": "10.99.0.2", "db1": "10.99.0.3"}
"""Those that are in both networks. cp1 is the canary."""


def slim(text: str) -> str:
    """The fleet file with a smaller MTU and without far1."""
    lines = text.replace("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1380").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("  far1:"))


@dataclass(frozen=True, slots=True)
class Told:
    """How an apply ended for its operator: exit code, what it said, and the ending of each node."""

    code: int
    text: str
    endings: Mapping[str, Mapping[str, str]]

    def __getitem__(self, node: str) -> tuple[str, str]:
        """Ending and step of a node."""
        one = self.endings[node]
        return one["ending"], one.get("step", "")

    def why(self, node: str) -> str:
        """All that is said about a node."""
        one = self.endings[node]
        return f"{one.get('detail', '')} {one.get('hint', '')}"


class Trial(Mesh):
    """The machines of a group, and the networks that they may have."""

    def __init__(
        self,
        group: Machines,
        *,
        text: str = FLEET,
        other: Callable[[str], str] = slim,
        addresses: Mapping[str, str] = ADDRESSES,
    ) -> None:
        """``addresses`` of the nodes that are in both networks."""
        self.group = group
        self.addresses = addresses
        self.world = group.operator
        self.networks = {}
        self.other = other
        self.struck: subprocess.Popen[str] | None = None
        self.names = tuple(machine.name for machine in group)
        self.learn("slim", other(text))
        self.learn("wide", text)
        self.present, self.wanted = "wide", "slim"
        self.write(self.wanted)

    def __getitem__(self, name: str) -> Machine:
        return self.group[name]

    def on(self, node: str, script: str) -> str:
        return self.group[node].run("sh", "-s", stdin=script)

    def _look_at(self, name: str) -> NodeLook:
        """Like the lab's, with the units that could be left."""
        lines = [line.partition(" ") for line in self.on(name, LOOK + UNITS).splitlines()]
        values = {key: value.strip() for key, _, value in lines}
        left = tuple(value.strip() for key, _, value in lines if key == "left" and value.strip())
        return NodeLook(
            values["file"], values["running"], values["digest"], int(values["generation"] or 0), left
        )

    def strike(
        self, fault: Mapping[str, object], act: Callable[[], object], *words: str, window: str = "60s"
    ) -> Told:
        """An apply during which something happens: the operator stands still at that step until it has."""
        return hear(self._held(fault, act, *words, window=window))

    def _held(
        self, fault: Mapping[str, object], act: Callable[[], object], *words: str, window: str
    ) -> "subprocess.CompletedProcess[str]":
        """The operator's process, ``struck`` meanwhile, stopped at the fault while ``act`` happens."""

        def note(process: "subprocess.Popen[str]") -> None:
            self.struck = process

        words = ("--json", *(words or ("apply",)), "--yes", "--confirm-within", window)
        return self.world.halted(fault, act, *words, begun=note)

    @contextmanager
    def under_way(
        self, fault: Mapping[str, object], act: Callable[[], object], *words: str, window: str = "60s"
    ) -> "Iterator[Future[Told]]":
        """The same; the block goes on as soon as it has happened. How it ended is there at its end."""
        struck = Event()

        def act_and_tell() -> None:
            act()
            struck.set()

        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(self.strike, fault, act_and_tell, *words, window=window)
            wait_for(lambda: struck.is_set() or told.done(), lambda: "no such step", seconds=90)
            yield told

    def unlucky(self, fault: Mapping[str, object], *words: str) -> "subprocess.Popen[str]":
        """wireloom with a fault of tests/faults/operator.py, not waited for."""
        return self.world.unlucky(json.dumps(fault), "--json", *words, "--yes")

    def apply(self, *words: str, window: str = "60s") -> Told:
        """An apply to which nothing happens while it runs."""
        return hear(
            self.world.run("--json", "apply", "--yes", "--confirm-within", window, *words, expect=None)
        )

    def killed(self, step: str, node: str, when: str, *, window: str = "5s") -> None:
        """An apply whose operator is killed at a step."""
        fault = {"step": step, "node": node, "when": when, "do": "kill"}
        process = self.unlucky(fault, "apply", "--confirm-within", window)
        said, errors = process.communicate(timeout=120)
        assert process.returncode == -9, f"{process.returncode}\n{said}{errors}"

    def settle(self, names: Iterable[str] = ()) -> dict[str, NodeLook]:
        """Wait until no change waits on any of the nodes, and nothing waits to undo one."""
        end = time.monotonic() + 40
        while True:
            looks = self.look(names or self.names)
            words = [word for one in looks.values() for word in one.left]
            if not any("undo.sh" in word or "change" in word or "wireloom-" in word for word in words):
                return looks
            assert time.monotonic() < end, f"something still waits: {words}"
            time.sleep(0.3)

    def all_have(self, network: str) -> None:
        """Nothing waits, nothing is left, and all nodes have that network: file and running state."""
        self.each_has(dict.fromkeys(self.addresses, network))

    def each_has(self, networks: Mapping[str, str]) -> None:
        """Nothing waits, nothing is left, and each node has its network: file and running state."""
        looks = self.settle()
        assert {name: one.left for name, one in looks.items() if one.left} == {}
        assert self.standing(networks) == dict(networks)

    def all_but(self, node: str) -> dict[str, str]:
        """The new network everywhere, and the old one on that node."""
        return {name: self.present if name == node else self.wanted for name in self.addresses}

    def standing(self, names: Iterable[str] = (), **more: Any) -> dict[str, str]:
        return super().standing(names or self.addresses, **more)

    def in_touch(self, addresses: Mapping[str, str] | None = None) -> None:
        super().in_touch(addresses or self.addresses)

    def converges(self) -> None:
        """One more apply leads to what the file wants: to an empty plan, with nothing left anywhere."""
        self.age_leases()
        self.world.run("apply", "--yes")
        assert self.world.changes() == []
        self.all_have(self.wanted)
        self.in_touch()
        self.present, self.wanted = self.wanted, self.present
        self.write(self.wanted)

    def start_again(self) -> None:
        """Where a test ended early: no more than the next one needs."""
        self.settle()
        self.age_leases()
        self.write("wide")
        self.world.run("apply", "--yes")
        self.present, self.wanted = "wide", "slim"
        self.write(self.wanted)


def hear(done: "subprocess.CompletedProcess[str]") -> Told:
    """What an operator was told; that there is no document is told by an empty one."""
    assert "this is a bug" not in done.stderr, done.stderr
    document = json.loads(done.stdout) if done.stdout.lstrip().startswith("{") else {}
    nodes = {one["node"]: one for one in document.get("nodes", ())}
    return Told(done.returncode, done.stdout + done.stderr, nodes)
