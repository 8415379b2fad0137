"""The machines that a bench boots, wireloom on them, and the record of its steps."""

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypeVar

import asyncssh

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from export import BrokenRunError, Target
from tests.machines.image import ImageError, find_place, find_recipe, provide_image
from tests.machines.machine import Machine
from tests.machines.machines import Machines, find_obstacles, machines
from tests.machines.workplace import WIRELOOM

from wireloom.lab.netns import open_socket

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
TROUBLES = (BrokenRunError, ImageError, AssertionError, OSError, asyncssh.Error)
"""What ends a measurement, with a text that says why."""

HERE = Path(__file__).parent
RECORDER = HERE / "recorder.py"
LIMITS = {"fs/inotify/max_user_instances": 8192, "net/ipv4/neigh/default/gc_thresh3": 16384}
"""Under /proc/sys: what many machines on one computer need more of (see ``MOST`` of the tests' machines)."""
ALONE = Path("/run/wireloom-bench.lock")

UNIT = "wg-quick@wg0"
FRESH = f"""\
systemctl --quiet disable --now {UNIT}
rm -rf /etc/wireguard/* /etc/wireguard/.wireloom /var/lib/wireloom /run/wireloom
rm -rf /etc/systemd/system/{UNIT}.service.d
systemctl daemon-reload
nft delete table inet wireloom 2>/dev/null
ip route flush type unreachable
true
"""
"""Takes away all that an apply left, so that the next one is a first one; /etc/wireguard is the package's."""


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


def say(what: str) -> None:
    """To whoever waits, on stderr."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


def take_down_when_ended() -> None:
    """Ended politely, a bench still takes down what it made, and puts the limits back.

    Also where a shell that started it in the background had it ignore Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def can_boot() -> bool:
    """Whether machines can be booted here; says what is in the way."""
    obstacles = find_obstacles()
    if obstacles:
        say(
            f"no systemd machines here: {', '.join(obstacles)}; `scripts/setup --tests` installs the commands"
        )
    return not obstacles


def tell_load() -> float:
    """The load of the computer, which is said where it spoils what is measured."""
    load = os.getloadavg()[0]
    if load > 1:
        say(
            f"the machine is busy (load {load:.1f}): what is measured is not of one moment, and ratios suffer"
        )
    return load


def run_bench(
    measure: Callable[[], T],
    judge: Callable[[T], Sequence[Target]],
    print_report: Callable[[T, Sequence[Target]], None],
    *,
    runs: int,
    file: Path | None,
    boots: bool = True,
) -> int:
    """Measure, print, and write the JSON to ``file`` if there is one; the exit status.

    ``boots``: machines, which can't be had everywhere.
    """
    take_down_when_ended()
    if boots and not can_boot():
        return 1
    load = tell_load()
    try:
        found = measure()
    except TROUBLES as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    targets = judge(found)
    print_report(found, targets)
    if file is not None:
        report = {
            "version": 1,
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "runs": runs,
            "load": load,
            **asdict(found),
            "targets": [asdict(target) for target in targets],
        }
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


@contextmanager
def booted(count: int) -> Iterator["Bench"]:
    """So many machines, m001 and so on; nothing is left of them afterwards. Raises one of TROUBLES."""
    names = [f"m{number:03}" for number in range(1, count + 1)]
    recipe = find_recipe()
    image = provide_image(recipe, find_place(recipe))
    with tempfile.TemporaryDirectory(prefix="wireloom-bench-") as name, raised(LIMITS):
        scratch = Path(name)
        say(f"booting {count} machines")
        with machines(names, image=image, directory=scratch, family="wireloom-bench", most=count) as group:
            yield Bench(group, scratch)


class Bench:
    """The booted machines, and the operator's programs beside them."""

    def __init__(self, group: Machines, scratch: Path) -> None:
        """``scratch`` is a directory that goes when the machines do."""
        self.all = list(group)
        self.group = group
        self.scratch = scratch
        self._home = group.operator.home
        self._key = asyncssh.read_private_key(str(self._home / ".ssh" / "id_ed25519"))

    def write_fleet(self, nodes: int, *, more: str = "", ssh: Mapping[str, str] | None = None) -> None:
        """The first ``nodes`` machines, where everybody can dial everybody.

        ``more`` is said of the underlay. ``ssh`` is the way to a machine where it is not the plain one.
        """
        ways = ssh or {}
        lines = ["fleet: bench", f"underlay: {{ ipv4: 10.99.0.0/16{more} }}", "sites: { dc: {} }", "nodes:"]
        for machine in self.all[:nodes]:
            ip, name = machine.address.ip, machine.name
            lines.append(f"  {name}: {{ site: dc, ssh: {ways.get(name, f'root@{ip}')}, public: [{ip}] }}")
        self.group.operator.fleet_file.write_text("\n".join(lines) + "\n")

    def freshen(self) -> None:
        """Machines and lock as before the first apply."""
        asyncio.run(self.on_all(FRESH))
        (self._home / "fleet.lock").unlink(missing_ok=True)

    def call(
        self, *words: str, record: Path | None = None, recorder: Path = RECORDER, expect: int = 0
    ) -> float:
        """``wireloom WORDS``, recorded where that is asked for; its seconds. Raises BrokenRunError."""
        program = [str(WIRELOOM)] if record is None else [sys.executable, str(recorder), str(record)]
        own = {"PATH": os.environ["PATH"], "HOME": str(self._home), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        start = time.perf_counter()
        done = subprocess.run(
            ["nsenter", f"--net={self.group.space.net}", "--", *program, *words],
            check=False,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=own,
        )
        seconds = time.perf_counter() - start
        if done.returncode != expect:
            said = (done.stdout + done.stderr)[-2000:]
            raise BrokenRunError(f"`wireloom {' '.join(words)}` ended with {done.returncode}:\n{said}")
        say(f"wireloom {' '.join(words)}: {seconds:.1f} s")
        return seconds

    def sent_bytes(self) -> int:
        """What the operator's interface has sent so far."""
        links = json.loads(self.group.space.run("ip", "-json", "-statistics", "link", "show", "br0"))
        return int(links[0]["stats64"]["tx"]["bytes"])

    async def on_all(self, *scripts: str) -> list[float]:
        """Log in to all machines side by side and run each script on all of them; seconds of each.

        The first counts from before the login, and the next begins when the last one has ended everywhere.
        """
        async with AsyncExitStack() as stack:
            start = time.perf_counter()
            connections = await asyncio.gather(*(self.connect(machine) for machine in self.all))
            for connection in connections:
                await stack.enter_async_context(connection)
            seconds = []
            for script in scripts:
                await asyncio.gather(*(_run(connection, script) for connection in connections))
                seconds.append(time.perf_counter() - start)
                start = time.perf_counter()
        return seconds

    async def connect(self, machine: Machine, address: str = "") -> asyncssh.SSHClientConnection:
        """A connection from the operator's place, to a machine that nobody else could be.

        ``address`` is another one of the machine than its own on the wire.
        """
        sock = open_socket(self.group.space.net, socket.AF_INET)
        await asyncio.get_running_loop().sock_connect(sock, (address or str(machine.address.ip), 22))
        return await asyncssh.connect(
            machine.name, sock=sock, username="root", client_keys=[self._key], known_hosts=None, config=None
        )


async def _run(connection: asyncssh.SSHClientConnection, script: str) -> None:
    done = await connection.run("sh -s", input=script)
    if done.exit_status != 0:
        raise BrokenRunError(f"`{script}` ended with {done.exit_status}: {done.stderr!r}")


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


def print_steps(what: str, steps: Sequence[Step]) -> None:
    """One apply, step by step, on stdout."""
    heads = ("seconds", "login", "answer", "our CPU")
    print(f"\n{what:<38}" + "".join(f" {head:>8}" for head in heads) + f" {'bytes':>11}")
    for step in steps:
        numbers = (step.seconds, step.login, step.answer, step.cpu)
        print(f"{step.name[:38]:<38}" + "".join(f" {one:8.2f}" for one in numbers) + f" {step.sent:11,.0f}")
