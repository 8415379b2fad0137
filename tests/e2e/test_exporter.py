"""The exporter beside a mesh: what it tells is what the machines say, and who goes away is missed."""

import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.world import WIRELOOM, World

EVERY = 5
NODES = ("cp1", "w1", "cp2", "db1", "build1")


class Exporter:
    """One that runs, and what it tells."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        found = re.search(r"http://\S+/metrics", line := process.stderr.readline())
        assert found, line
        self.process, self.address = process, found[0]

    def scrape(self) -> str:
        with urllib.request.urlopen(self.address, timeout=20) as answer:
            return str(answer.read().decode())

    def scrape_until(self, is_so: "Callable[[Told], object]") -> "Told":
        """What is told at the first look at which it is so."""
        for _ in range(300):
            if is_so(told := Told(self.scrape())):
                return told
            time.sleep(0.1)
        raise AssertionError("it never came to that")


@dataclass
class Told:
    """One scrape."""

    text: str

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of a metric, by the values of their labels but for fleet and site."""
        return {
            tuple(value for label, value in one.labels.items() if label not in {"fleet", "site"}): one.value
            for family in text_string_to_metric_families(self.text)
            for one in family.samples
            if one.name == name
        }

    def nodes(self, name: str) -> dict[str, float]:
        return {node: value for (node,), value in self.values(name).items()}

    @property
    def taken(self) -> tuple[float, float]:
        """When the last look began and ended; zeros before the first."""
        (ended,) = self.values("wireloom_snapshot_timestamp_seconds").values() or (0.0,)
        (seconds,) = self.values("wireloom_snapshot_duration_seconds").values() or (0.0,)
        return ended - seconds, ended


@contextmanager
def exporter_of(world: World) -> Iterator[Exporter]:
    process = subprocess.Popen(
        [WIRELOOM, "exporter", "--listen", "127.0.0.1:0", "--every", str(EVERY), "--per-peer"],
        cwd=world.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Exporter(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Counters:
    """What `wg show` and the kernel say of a node: bytes, and when the last handshakes were, by peer."""

    handshakes: dict[str, int]
    received: dict[str, int]
    sent: dict[str, int]
    through: tuple[int, int]


def ask(world: World, node: str, names: dict[str, str]) -> Counters:
    said = world.shell(
        node, "wg show wg0 dump | sed 1d; cd /sys/class/net/wg0/statistics; cat rx_bytes tx_bytes"
    ).splitlines()
    peers = {names[line.split("\t")[0]]: list(map(int, line.split("\t")[4:7])) for line in said[:-2]}
    return Counters(
        handshakes={name: peer[0] for name, peer in peers.items()},
        received={name: peer[1] for name, peer in peers.items()},
        sent={name: peer[2] for name, peer in peers.items()},
        through=(int(said[-2]), int(said[-1])),
    )


def test_it_tells_what_the_machines_say(applied: World) -> None:
    names = {applied.on(node, "wg", "show", "wg0", "public-key").strip(): node for node in NODES}
    applied.on("cp1", "ping", "-c", "3", "-i", "0.2", "-s", "1000", "10.99.0.3")
    before = ask(applied, "cp1", names)
    with exporter_of(applied) as exporter:
        told = exporter.scrape_until(lambda told: told.taken[1])
        after = ask(applied, "cp1", names)

        for name in ("reachable", "interface_up", "generation"):
            assert told.nodes(f"wireloom_node_{name}") == dict.fromkeys(NODES, 1)
        assert told.nodes("wireloom_node_peers") == dict.fromkeys(NODES, 4)
        for name in ("drift_changes", "plan_errors"):
            assert told.nodes(f"wireloom_node_{name}") == dict.fromkeys(NODES, 0)

        began, ended = told.taken
        ages = told.values("wireloom_peer_handshake_age_seconds")
        assert {peer for node, peer in ages if node == "cp1"} == set(before.handshakes)
        for peer in before.handshakes:
            handshakes = before.handshakes[peer], after.handshakes[peer]
            assert handshakes[0] - 1 <= ended - ages["cp1", peer]
            assert began - ages["cp1", peer] <= handshakes[1] + 1
            for name in ("received", "sent"):
                value = told.values(f"wireloom_peer_{name}_bytes_total")["cp1", peer]
                assert getattr(before, name)[peer] <= value <= getattr(after, name)[peer]
        for place, name in enumerate(("received", "sent")):
            value = told.nodes(f"wireloom_node_{name}_bytes_total")["cp1"]
            assert 3000 < before.through[place] <= value <= after.through[place]

        assert [key for key in names if key in told.text] == []


def test_who_goes_away_is_missed_and_what_has_changed_is_drift(mended: World) -> None:
    with exporter_of(mended) as exporter:
        exporter.scrape_until(lambda told: told.taken[1])
        mended.on("cp2", "ip", "link", "set", "wg0", "mtu", "1300")
        # Only the connection that is open: it is dialled anew, and nobody is missed.
        mended.shell("w1", "kill $(pgrep -P $(cat /run/sshd/pid))")
        mended.shell("db1", "sshd=$(cat /run/sshd/pid); kill $(pgrep -P $sshd) $sshd")
        try:
            told = exporter.scrape_until(lambda told: not told.nodes("wireloom_node_reachable").get("db1", 1))
        finally:
            mended.shell("db1", "/usr/sbin/sshd -f /run/sshd/config")

        assert told.nodes("wireloom_node_reachable") == dict.fromkeys(NODES, 1) | {"db1": 0}
        drift = told.nodes("wireloom_node_drift_changes")
        assert drift.pop("cp2") == 1
        assert drift == {"cp1": 0, "w1": 0, "build1": 0}
