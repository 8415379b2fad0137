"""What an apply to real machines costs, beside the least that it could.

Run it as root with ``.venv/bin/python bench/machines.py``; ``--help`` says what can be chosen.

It boots systemd machines on one wire, as the tests do, and compares within one run:

- the floor: ``c``, to open an SSH connection to each machine and run two trivial commands on it, and ``u``,
  ``systemctl start wg-quick@wg0`` with all peers in the file; each on all machines side by side;
- the first ``wireloom apply``, one with nothing to do, and ``wireloom plan``: whole processes;
- one node more: what is sent to each of the others, in half of the fleet and in all of it.

Machines and operator share the processors of one computer: seconds say little, ratios more. For its run it
raises two limits of the kernel, which it puts back. Exit status 0 whatever the numbers are; 1 if something
could not be measured.
"""

import argparse
import asyncio
import fcntl
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import asyncssh

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from export import BrokenRunError, Target, print_targets
from tests.machines.image import ImageError, find_place, find_recipe, provide_image
from tests.machines.machine import Machine
from tests.machines.machines import Machines, find_obstacles, machines
from tests.machines.workplace import WIRELOOM

from wireloom.lab.netns import open_socket

RECORDER = Path(__file__).with_name("recorder.py")
LIMITS = {"fs/inotify/max_user_instances": 8192, "net/ipv4/neigh/default/gc_thresh3": 16384}
"""Under /proc/sys: what many machines on one computer need more of (see ``MOST`` of the tests' machines)."""
ALONE = Path("/run/wireloom-bench.lock")

UNIT = "wg-quick@wg0"
FRESH = f"""\
systemctl --quiet disable --now {UNIT}
rm -rf /etc/wireguard /var/lib/wireloom /run/wireloom /etc/systemd/system/{UNIT}.service.d
systemctl daemon-reload
nft delete table inet wireloom 2>/dev/null
ip route flush type unreachable
true
"""
"""Takes away all that an apply left, so that the next one is a first one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an apply: seconds until its last login, its last answer, its end; our processor seconds.

    ``sent`` is the median of the bytes of script that a machine got.
    """

    name: str
    login: float
    answer: float
    seconds: float
    cpu: float
    sent: float


@dataclass(frozen=True, slots=True)
class Growth:
    """One node more, ``nodes`` with it: bytes of script for each other node, in all and for staging.

    ``wire`` is what the operator's interface sent, by node: logins, encryption and the new node's included.
    """

    nodes: int
    sent: float
    staged: float
    wire: float
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Results:
    """Median seconds of everything; the steps of the last first apply and of the last with nothing to do."""

    machines: int
    connect: float
    up: float
    first: float
    again: float
    plan: float
    first_steps: list[Step]
    again_steps: list[Step]
    half: Growth
    full: Growth


# --- the machines --------------------------------------------------------------------------------


@contextmanager
def raised(limits: dict[str, int]) -> Iterator[None]:
    """Limits of the kernel, raised for as long as the block lasts; none is lowered.

    By one process at a time: a second one would take the raised limits for those to put back. Raises
    BrokenRunError where there is another.
    """
    files = {Path("/proc/sys") / name: value for name, value in limits.items()}
    with ALONE.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BrokenRunError("another bench of machines is at work here: wait for its end") from None
        before = {file: int(file.read_text()) for file in files}
        try:
            for file, value in files.items():
                file.write_text(str(max(value, before[file])))
            yield
        finally:
            for file, value in before.items():
                file.write_text(str(value))


class Bench:
    """The booted machines, and the operator's programs beside them."""

    def __init__(self, group: Machines, say: Callable[[str], None]) -> None:
        self.all = list(group)
        self.say = say
        self._group = group
        self._home = group.operator.home
        self._key = asyncssh.read_private_key(str(self._home / ".ssh" / "id_ed25519"))

    def write_fleet(self, nodes: int) -> None:
        """The first ``nodes`` machines, where everybody can dial everybody."""
        lines = ["fleet: bench", "underlay: { ipv4: 10.99.0.0/16 }", "sites: { dc: {} }", "nodes:"]
        for machine in self.all[:nodes]:
            ip = machine.address.ip
            lines.append(f"  {machine.name}: {{ site: dc, ssh: root@{ip}, public: [{ip}] }}")
        self._group.operator.fleet_file.write_text("\n".join(lines) + "\n")

    def freshen(self) -> None:
        """Machines and lock as before the first apply."""
        asyncio.run(self.on_all(FRESH))
        (self._home / "fleet.lock").unlink(missing_ok=True)

    def call(self, *words: str, record: Path | None = None) -> float:
        """``wireloom WORDS``, recorded where that is asked for; its seconds. Raises BrokenRunError."""
        program = [str(WIRELOOM)] if record is None else [sys.executable, str(RECORDER), str(record)]
        own = {"PATH": os.environ["PATH"], "HOME": str(self._home), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        start = time.perf_counter()
        done = subprocess.run(
            ["nsenter", f"--net={self._group.space.net}", "--", *program, *words],
            check=False,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=own,
        )
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-2000:]
            raise BrokenRunError(f"`wireloom {' '.join(words)}` ended with {done.returncode}:\n{said}")
        self.say(f"wireloom {' '.join(words)}: {seconds:.1f} s")
        return seconds

    def sent_bytes(self) -> int:
        """What the operator's interface has sent so far."""
        links = json.loads(self._group.space.run("ip", "-json", "-statistics", "link", "show", "br0"))
        return int(links[0]["stats64"]["tx"]["bytes"])

    async def on_all(self, *scripts: str) -> list[float]:
        """Log in to all machines side by side and run each script on all of them; seconds of each.

        The first counts from before the login, and the next begins when the last one has ended everywhere.
        """
        async with AsyncExitStack() as stack:
            start = time.perf_counter()
            connections = await asyncio.gather(*(self._connect(machine) for machine in self.all))
            for connection in connections:
                await stack.enter_async_context(connection)
            seconds = []
            for script in scripts:
                await asyncio.gather(*(_run(connection, script) for connection in connections))
                seconds.append(time.perf_counter() - start)
                start = time.perf_counter()
        return seconds

    async def _connect(self, machine: Machine) -> asyncssh.SSHClientConnection:
        """A connection from the operator's place, to a machine that nobody else could be."""
        sock = open_socket(self._group.space.net, socket.AF_INET)
        await asyncio.get_running_loop().sock_connect(sock, (str(machine.address.ip), 22))
        return await asyncssh.connect(
            machine.name, sock=sock, username="root", client_keys=[self._key], known_hosts=None, config=None
        )


async def _run(connection: asyncssh.SSHClientConnection, script: str) -> None:
    done = await connection.run("sh -s", input=script)
    if done.exit_status != 0:
        raise BrokenRunError(f"`{script}` ended with {done.exit_status}: {done.stderr!r}")


# --- what is measured ----------------------------------------------------------------------------


def measure(bench: Bench, scratch: Path, runs: int) -> Results:
    """Everything, in turn: other work on the machine is then borne by all of it alike."""
    record, record_again, nodes = scratch / "first.json", scratch / "again.json", len(bench.all)
    bench.write_fleet(nodes)
    connect, up, first, again, plan = [], [], [], [], []
    for turn in range(1, runs + 1):
        bench.say(f"turn {turn} of {runs}")
        bench.freshen()
        connect.append(sum(asyncio.run(bench.on_all("true", "true"))))
        first.append(bench.call("apply", "--yes", record=record))
        up.append(asyncio.run(bench.on_all(f"systemctl stop {UNIT}", f"systemctl start {UNIT}"))[1])
        again.append(bench.call("apply", "--yes", record=record_again))
        plan.append(bench.call("plan"))
    first_steps, again_steps = read_steps(record), read_steps(record_again)
    bench.freshen()
    half, full = (add_one(bench, size, record) for size in (nodes // 2, nodes))
    return Results(
        machines=nodes,
        connect=median(connect),
        up=median(up),
        first=median(first),
        again=median(again),
        plan=median(plan),
        first_steps=first_steps,
        again_steps=again_steps,
        half=half,
        full=full,
    )


def read_steps(record: Path) -> list[Step]:
    """The steps that the recorder wrote."""
    return [
        Step(
            name=one["name"],
            login=one["login"],
            answer=one["answer"],
            seconds=one["seconds"],
            cpu=one["cpu"],
            sent=median(one["sent"].values()) if one["sent"] else 0,
        )
        for one in json.loads(record.read_text(encoding="utf-8"))
    ]


def add_one(bench: Bench, nodes: int, record: Path) -> Growth:
    """The last of ``nodes`` comes to a fleet of all the others."""
    bench.write_fleet(nodes - 1)
    bench.call("apply", "--yes")
    bench.write_fleet(nodes)
    before = bench.sent_bytes()
    bench.call("apply", "--yes", record=record)
    wire = (bench.sent_bytes() - before) / nodes
    steps = json.loads(record.read_text(encoding="utf-8"))
    others = [f"root@{machine.address.ip}" for machine in bench.all[: nodes - 1]]
    staging = [one for one in steps if one["name"].startswith("staging")]
    return Growth(
        nodes, _sent_to_each(others, steps), _sent_to_each(others, staging), wire, read_steps(record)
    )


def _sent_to_each(machines: Sequence[str], steps: Sequence[dict[str, Any]]) -> float:
    """The median over the machines of the bytes of script that each got in these steps."""
    return float(median(sum(one["sent"].get(name, 0) for one in steps) for name in machines))


# --- the report ----------------------------------------------------------------------------------


def judge(found: Results) -> list[Target]:
    """The measurements that have a target, beside it."""
    floor = found.connect + found.up
    peers = found.full.nodes - found.half.nodes
    growth, slope = found.full.sent / found.half.sent, (found.full.sent - found.half.sent) / peers
    first, again, plan = found.first / floor, found.again / found.connect, found.plan / found.connect
    added = f"one node more, {found.full.nodes} : {found.half.nodes}"
    return [
        Target("first apply : (c + u)", first, "times", "at most 2", first <= 2),
        Target("apply with nothing to do : c", again, "times", "at most 3", again <= 3),
        Target("plan : c", plan, "times", "at most 3", plan <= 3),
        Target(f"{added}, sent to each other", growth, "times", "flat: at most 1.01", growth <= 1.01),
        # The scripts' fixed text hides in the ratio what a thousand nodes would make plain.
        Target("the same, for each node of the fleet", slope, "bytes", "none: under 1", slope < 1),
    ]


def print_report(found: Results, targets: Sequence[Target]) -> None:
    """All tables, on stdout."""
    print(f"{found.machines} machines {'seconds':>35}")
    for what, seconds in (
        ("c: log in, two commands", found.connect),
        (f"u: systemctl start {UNIT}", found.up),
        ("first apply", found.first),
        ("apply, nothing to do", found.again),
        ("plan", found.plan),
    ):
        print(f"{what:<38} {seconds:8.2f}")
    print_steps("first apply", found.first_steps)
    print_steps("apply, nothing to do", found.again_steps)
    print_steps("apply, one node more", found.full.steps)
    print(
        f"\n{'one node more, bytes to each other':<38} {'scripts':>8} {'staging':>8} {'on the wire, all':>17}"
    )
    for growth in (found.half, found.full):
        print(f"{growth.nodes:<38} {growth.sent:8,.0f} {growth.staged:8,.0f} {growth.wire:17,.0f}")
    print_targets(targets)


def print_steps(what: str, steps: Sequence[Step]) -> None:
    """One apply, step by step, on stdout."""
    heads = ("seconds", "login", "answer", "our CPU", "bytes")
    print(f"\n{what:<38}" + "".join(f" {head:>8}" for head in heads))
    for step in steps:
        numbers = (step.seconds, step.login, step.answer, step.cpu)
        print(f"{step.name[:38]:<38}" + "".join(f" {one:8.2f}" for one in numbers) + f" {step.sent:8,.0f}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--machines", type=int, default=40, help="how many to boot (default 40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument("--runs", type=int, default=3, help="runs per median (default 3)")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs: at least 1")
    if not 4 <= arguments.machines <= 250:
        parser.error("--machines: 4 to 250")
    return arguments


def main() -> int:
    """Measure, print, and write the JSON if asked."""
    arguments = parse_arguments()
    # Ended politely, it still takes its machines down and puts the limits back, also where a shell that
    # started it in the background had it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

    def say(what: str) -> None:
        print(f"bench: {what}", file=sys.stderr, flush=True)

    obstacles = find_obstacles()
    if obstacles:
        say(
            f"no systemd machines here: {', '.join(obstacles)}; `scripts/setup --tests` installs the commands"
        )
        return 1
    load = os.getloadavg()[0]
    if load > 1:
        say(
            f"the machine is busy (load {load:.1f}): what is measured is not of one moment, and ratios suffer"
        )

    names = [f"m{number:03}" for number in range(1, arguments.machines + 1)]
    try:
        recipe = find_recipe()
        image = provide_image(recipe, find_place(recipe))
        with tempfile.TemporaryDirectory(prefix="wireloom-bench-") as name, raised(LIMITS):
            scratch = Path(name)
            say(f"booting {len(names)} machines")
            with machines(
                names, image=image, directory=scratch, family="wireloom-bench", most=len(names)
            ) as group:
                found = measure(Bench(group, say), scratch, arguments.runs)
    except (BrokenRunError, ImageError, AssertionError, OSError, asyncssh.Error) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130

    targets = judge(found)
    print_report(found, targets)
    if arguments.json is not None:
        report = {
            "version": 1,
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "runs": arguments.runs,
            "load": load,
            **asdict(found),
            "targets": [asdict(target) for target in targets],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
