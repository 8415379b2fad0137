"""A mesh that things are done to, and the one question after each: is every node old or new, and in touch?"""

import json
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from tests.e2e.world import World
from wireloom.lab.machine import find
from wireloom.values import NodeName

RUNNING = (files("wireloom.observe") / "running.sh").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]

LOOK = f"""interface=wg0
{RUNNING}
echo file $(grep -v '^PrivateKey = ' /etc/wireguard/wg0.conf | sha256sum | cut -c 1-64)
echo running $(running | sha256sum | cut -c 1-64)
echo digest $(sed -n s/^digest=//p /var/lib/wireloom/wg0.state)
echo generation $(sed -n s/^generation=//p /var/lib/wireloom/wg0.state)
places='/etc/wireguard/.wireloom /run/wireloom/wg0'
echo left $(ls -A $places 2>/dev/null | grep -vx -e '' -e '.*:' -e busy -e guard)
echo left $(ls /var/lib/wireloom /var/lib/wireloom/history/wg0 | grep next)
grep -als 'change/undo[.]sh' /proc/[0-9]*/cmdline | sed 's/.*/left undo.sh runs/'
true
"""

AGE_LEASE = "cd /run/wireloom/wg0 2>/dev/null && test -e lease && sed -i 2s/.*/0/ lease; true"
"""Shell: the lease of a node, if there is one, began when the machine did."""

WINDOW = 5

ALL = ("cp1", "w1", "cp2", "db1", "build1")
BOTH = ("cp1", "w1", "cp2", "build1")
"""The nodes that are in both networks."""

ADDRESSES = {"cp1": "10.99.0.1", "w1": "10.99.0.2", "cp2": "10.99.0.3", "build1": "10.99.0.5"}


@dataclass(frozen=True)
class NodeLook:
    """A node as it is: digests of its file and of what runs, what its note says, and what lies about."""

    file: str
    running: str
    digest: str
    generation: int
    left: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """What one fleet file makes of every node: the digests of file and running state."""

    text: str
    nodes: Mapping[str, tuple[str, str]]


@dataclass
class Mesh:
    """A lab, and the networks that its machines may have."""

    world: World
    networks: dict[str, Network] = field(default_factory=dict)
    names: tuple[str, ...] = ALL

    def __post_init__(self) -> None:
        lab = find(self.world.name)
        assert lab is not None
        self.machines = lab.machines

    def on(self, node: str, script: str) -> str:
        """What a shell script in a machine prints; faster than `lab exec`."""
        command = [
            "nsenter",
            "-t",
            str(self.machines[NodeName(node)]),
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "--",
            "sh",
        ]
        done = subprocess.run(
            [*command, "-s"], input=script, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{node}: {done.stderr}"
        return done.stdout

    def look(self, names: Iterable[str] | None = None) -> dict[str, NodeLook]:
        chosen = list(names or self.names)
        with ThreadPoolExecutor(5) as pool:
            return dict(zip(chosen, pool.map(self._look_at, chosen), strict=True))

    def _look_at(self, name: str) -> NodeLook:
        lines = [line.partition(" ") for line in self.on(name, LOOK).splitlines()]
        values = {key: value.strip() for key, _, value in lines}
        left = tuple(value.strip() for key, _, value in lines if key == "left" and value.strip())
        return NodeLook(
            values["file"], values["running"], values["digest"], int(values["generation"] or 0), left
        )

    def write(self, network: str) -> None:
        """The fleet file of a network that is known."""
        self.world.fleet_file.write_text(self.networks[network].text)

    def learn(self, name: str, text: str) -> None:
        """Apply a fleet file undisturbed, and remember what it makes of the nodes."""
        self.world.fleet_file.write_text(text)
        self.world.run("apply", "--yes")
        looks = self.look()
        self.networks[name] = Network(text, {node: (one.file, one.running) for node, one in looks.items()})

    def operate(self, fault: Mapping[str, object], *words: str) -> subprocess.CompletedProcess[str]:
        """wireloom as a user calls it, but for the fault."""
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.faults.operator",
                json.dumps(fault),
                "-f",
                self.world.fleet_file,
                *words,
            ],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )

    def standing(self, names: Iterable[str] = BOTH, *, spoilt: Collection[str] = ()) -> dict[str, str]:
        """Which network each node has: file and running state of one and the same. Fails for a mix.

        Of ``spoilt`` nodes, which somebody worked on by hand, only the file is looked at.
        """
        found = {}
        for node, look in self.look(names).items():
            fits = [
                name
                for name, one in self.networks.items()
                if one.nodes[node] == (look.file, look.running)
                or (node in spoilt and one.nodes[node][0] == look.file)
            ]
            assert fits, f"{node} has a mix: {self._describe(node, look)}"
            found[node] = fits[0]
        return found

    def _describe(self, node: str, look: NodeLook) -> str:
        files = [name for name, one in self.networks.items() if one.nodes[node][0] == look.file]
        states = [name for name, one in self.networks.items() if one.nodes[node][1] == look.running]
        return f"the file of {files}, the running state of {states}"

    def settle(self, seconds: float = WINDOW + 4) -> dict[str, NodeLook]:
        """Wait until no change waits on any node, and nothing waits to undo one."""
        end = time.monotonic() + seconds
        while True:
            looks = self.look()
            waits = any("undo.sh" in word or "change" in word for one in looks.values() for word in one.left)
            if not waits or time.monotonic() > end:
                return looks
            time.sleep(0.3)

    def in_touch(self, addresses: Mapping[str, str] = ADDRESSES) -> None:
        """Whoever is in both networks reaches everybody else who is, whichever each of them has."""
        chosen = list(addresses)

        def ping(source: str) -> str:
            others = " ".join(addresses[to] for to in chosen if to != source)
            # Who only dials, and has a session that its peer has lost, tries again after 15 s of traffic.
            script = f"for to in {others}; do n=30; until ping -nqc 1 -W 1 $to >/dev/null; do n=$((n - 1));"
            script += f' test $n -gt 0 || {{ echo "{source} to $to"; break; }}; done; done'
            return self.on(source, script + "; true")

        with ThreadPoolExecutor(5) as pool:
            silent = "".join(pool.map(ping, chosen))
        assert silent == "", silent

    def age_leases(self) -> None:
        """As if the time of a lease had gone by; a test of its own waits for it."""
        for name in self.names:
            self.on(name, AGE_LEASE)

    def converge(self, network: str, names: Iterable[str] = BOTH) -> None:
        """One undisturbed apply leads to the network of the fleet file, whatever went before."""
        self.world.run("apply", "--yes")
        changes = self.world.json("plan", expect=None)["changes"]
        assert changes == [], changes
        looks = self.look(names)
        wanted = self.networks[network].nodes
        wrong = [name for name, one in looks.items() if (one.file, one.running) != wanted[name]]
        assert not wrong, [self._describe(name, looks[name]) for name in wrong]
