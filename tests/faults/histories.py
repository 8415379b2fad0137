"""Random histories: edits, applies, rollbacks and faults in random order, and the same questions after each.

    sudo .venv/bin/python -m tests.faults.histories --seed 1 --histories 1000

A seed stands for a sequence of histories; what fails prints the seed of its own history, which replays it:
``--seed THAT --histories 1``. Everything happens in a lab on this machine.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.world import make_world
from tests.faults.world import Mesh

FLEET = """\
fleet: {name}
lab: {{}}
underlay: {{ ipv4: 10.99.0.0/16 }}
sites:
  fsn: {{ private: [10.0.0.0/16] }}
  ams: {{ private: [10.0.0.0/16] }}
  office: {{ nat: true, private: [192.168.178.0/24] }}
nodes:
  cp1: {{ site: fsn, ssh: root@203.0.113.10, public: [203.0.113.10], private: [10.0.0.2] }}
  cp2: {{ site: ams, ssh: root@198.51.100.20, public: [198.51.100.20] }}
  db1: {{ site: ams, ssh: root@198.51.100.22, public: [198.51.100.22] }}
  build1: {{ site: office, ssh: root@192.168.178.40, private: [192.168.178.40] }}
"""
NAMES = ("cp1", "cp2", "db1", "build1")
LASTING = ("cp1", "cp2", "build1")
"""Nodes that every network has."""

ADDRESSES = {"cp1": "10.99.0.1", "cp2": "10.99.0.2", "build1": "10.99.0.4"}
UNDERLAY = "underlay: { ipv4: 10.99.0.0/16"
WINDOW = "2s"
STEPS = ("look", "stage", "commit", "prove", "confirm")

# A power cut: what is not on the disk is gone, and what a start reads comes up.
RESTART = """\
ip link del wg0 2>/dev/null
for process in /proc/[0-9]*; do
    tr '\\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q 'undo[.]sh' && kill -KILL "${process#/proc/}"
done
rm -rf /run/wireloom
nft delete table inet wireloom 2>/dev/null
wg-quick up wg0 >/dev/null 2>&1
"""
BY_HAND = {
    "restart": RESTART,
    "bounce": "wg-quick down wg0 >/dev/null 2>&1; wg-quick up wg0 >/dev/null 2>&1",
    "delete": "ip link del wg0",
    "flush": "nft delete table inet wireloom",
    "stray peer": "wg set wg0 peer AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= allowed-ips 10.99.7.7/32",
    "mtu": "ip link set dev wg0 mtu 1300",
    "clock": "true",
}
"""What happens to a machine in the middle of a step."""


@dataclass
class History:
    """One sequence of things that happen, from one seed."""

    mesh: Mesh
    seed: int
    told: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    spoilt: set[str] = field(default_factory=set)
    present: str = ""

    def run(self, length: int) -> None:
        """Live through it; an AssertionError is a broken promise."""
        chance = random.Random(self.seed)
        things: list[tuple[Callable[[random.Random], str], int]] = [
            (self._apply, 2),
            (self._faulty, 8),
            (self._roll_back, 2),
            (self._cut_off, 2),
            (self._two, 1),
        ]
        for _ in range(length):
            self.present = chance.choice(sorted(TEXTS))
            self.mesh.write(self.present)
            happen = chance.choices([one for one, _ in things], [weight for _, weight in things])[0]
            self.told.append(happen(chance))
            self._ask()
        self._converge()

    def _apply(self, _: random.Random) -> str:
        done = self.mesh.operate({}, "apply", "--yes", "--confirm-within", WINDOW)
        assert "this is a bug" not in done.stderr, done.stderr
        return f"apply: {done.returncode}"

    def _faulty(self, chance: random.Random) -> str:
        """A fault at a random step of an apply, or of a rollback, on a random node."""
        do = chance.choice(["kill", "kill", "interrupt", "drop", *BY_HAND])
        fault = {
            "step": chance.choice(STEPS),
            "node": chance.choice([*LASTING, None]),
            "when": chance.choice(["before", "after"]),
            "do": do,
        }
        self.counts[f"{do} {fault['when']} {fault['step']}"] += 1
        if do in BY_HAND:
            victim = chance.choice(LASTING)
            fault["do"] = self._enter(victim, BY_HAND[do])
            self.spoilt.add(victim)
        words = chance.choice([("apply",), ("apply",), ("apply", "--max-parallel", "1"), ("rollback",)])
        done = self.mesh.operate(fault, *words, "--yes", "--confirm-within", WINDOW)
        assert "this is a bug" not in done.stderr, done.stderr
        if do == "kill":
            self._settle()
            self.mesh.age_leases()
        return f"{' '.join(words)} with {do} {fault['when']} {fault['step']}: {done.returncode}"

    def _roll_back(self, _: random.Random) -> str:
        done = self.mesh.operate({}, "rollback", "--yes", "--confirm-within", WINDOW)
        assert "this is a bug" not in done.stderr, done.stderr
        return f"rollback: {done.returncode}"

    def _cut_off(self, chance: random.Random) -> str:
        """A node that refuses every connection from some step on, for the rest of the apply."""
        victim, step = chance.choice(LASTING), chance.choice(STEPS)
        rule = "nft -f - <<END\ntable ip cut { chain in { type filter hook input priority 0;"
        rule += " tcp dport 22 reject with tcp reset; }; }\nEND"
        fault = {
            "step": step,
            "node": victim if chance.random() < 0.5 else None,
            "when": chance.choice(["before", "after"]),
            "do": self._enter(victim, rule),
        }
        self.counts[f"cut off {fault['when']} {step}"] += 1
        done = self.mesh.operate(fault, "apply", "--yes", "--confirm-within", WINDOW)
        assert "this is a bug" not in done.stderr, done.stderr
        self._settle()
        self.mesh.on(victim, "nft delete table ip cut 2>/dev/null; true")
        self.mesh.age_leases()
        return f"{victim} cut off {fault['when']} {step}: {done.returncode}"

    def _two(self, _: random.Random) -> str:
        """Two operators at once."""
        other = self.mesh.world.popen("apply", "--yes")
        mine = self.mesh.operate({}, "apply", "--yes", "--confirm-within", WINDOW)
        said, _error = other.communicate(timeout=120)
        assert "this is a bug" not in mine.stderr + said, mine.stderr + said
        self.counts["two at once"] += 1
        return f"two at once: {mine.returncode}, {other.returncode}"

    def _enter(self, node: str, script: str) -> str:
        """A shell command of this computer that runs a script in a machine."""
        pid = next(pid for name, pid in self.mesh.machines.items() if name == node)
        return f"nsenter -t {pid} -m -u -i -n -p -- sh -s <<'SCRIPT'\n{script}\ntrue\nSCRIPT\n"

    def _settle(self) -> None:
        self.mesh.settle(8)

    def _ask(self) -> None:
        """Old or new, never a mix; but for what somebody did by hand, which the next plan shows."""
        self._settle()
        self.mesh.standing(LASTING, spoilt=self.spoilt)
        if not self.spoilt:
            self.mesh.in_touch(ADDRESSES)

    def _converge(self) -> None:
        plan = self.mesh.world.json("plan", expect=None)
        assert "changes" in plan, plan
        self.mesh.converge(self.present, LASTING)
        self.mesh.in_touch(ADDRESSES)

    def recover(self) -> None:
        """After a broken promise: a new beginning for the next history."""
        self.mesh.age_leases()
        self.mesh.world.run("apply", "--yes", expect=None)


@contextmanager
def open_mesh(directory: Path) -> Iterator[Mesh]:
    """A lab of four machines, whose networks are known; taken down whatever happens."""
    world = make_world(directory, FLEET)
    whole = world.fleet_file.read_text()
    try:
        world.run("lab", "up")
        mesh = Mesh(world, names=NAMES)
        for name, change in TEXTS.items():
            mesh.learn(name, change(whole))
        yield mesh
    finally:
        world.run("lab", "down", expect=None)


def _without_db1(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("  db1:"))


TEXTS: dict[str, Callable[[str], str]] = {
    "wide": lambda text: text,
    "small": lambda text: text.replace(UNDERLAY, f"{UNDERLAY}, mtu: 1380"),
    "open": lambda text: text.replace(UNDERLAY, f"{UNDERLAY}, guard: false"),
    "slim": _without_db1,
    "small slim": lambda text: _without_db1(TEXTS["small"](text)),
    "open slim": lambda text: _without_db1(TEXTS["open"](text)),
}
"""The networks that the machines may have; a rollback may lead to each of them, whatever the file says."""


def main() -> int:
    """Run histories and say how it went; exit status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--histories", type=int, default=10)
    parser.add_argument("--length", type=int, default=4)
    words = parser.parse_args()
    tally, began = Tally(), time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory() as directory, open_mesh(Path(directory)) as mesh:
            for seed in range(words.seed, words.seed + words.histories):
                tally.add(History(mesh, seed), words.length)
    except KeyboardInterrupt:
        print("interrupted")
    print(f"{tally}, {(time.monotonic() - began) / 60:.0f} min")
    print(", ".join(f"{what}: {number}" for what, number in sorted(tally.counts.items())))
    return 1 if tally.broken else 0


@dataclass
class Tally:
    """How many histories there were, how many of them broke, and of what they consisted."""

    histories: int = 0
    broken: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, history: History, length: int) -> None:
        """Run one more; one that breaks is told at once, and the machines start anew."""
        try:
            history.run(length)
        except AssertionError as error:
            self.broken += 1
            print(f"seed {history.seed} broke after {history.told}:\n{error}", flush=True)
            history.recover()
        self.histories += 1
        self.counts += history.counts
        if self.histories % 50 == 0:
            print(self, flush=True)

    def __str__(self) -> str:
        """In one line, without the time."""
        return f"{self.histories} histories, {sum(self.counts.values())} faults, {self.broken} broken"


if __name__ == "__main__":
    sys.exit(main())
