"""How fast ``wireloom export`` writes a full mesh, and in how much memory.

Run it with ``.venv/bin/python bench/export.py``; ``--help`` says what can be chosen.

Three questions, each answered by whole processes, started and ended:

- a mesh of 400 nodes, against ``wg-meshconf genconfig`` on the same nodes, keys and addresses, in turn within
  one run, so that the ratio does not depend on the machine;
- 100 to 1,000 nodes: time, peak memory, and processor time per peer section (start-up subtracted), which
  has to stay flat: what is the same for every peer must not be worked out for every peer;
- the start-up of the command line, ``wireloom --help``.

Both write their files to memory (tmpfs) where there is room, so that the disk is not what is compared.
wg-meshconf is installed from PyPI into an environment of its own under the scratch directory, unless
``--meshconf`` names one. Exit status 0 whatever the numbers are; 1 if something could not be measured.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
MESHCONF = "wg-meshconf==2.5.1"
PORT = 51820
# RFC 2544 keeps 198.18.0.0/15 for benchmarks: enough public addresses for any fleet measured here.
FIRST_PUBLIC = IPv4Address("198.18.0.1")
FIRST_UNDERLAY = IPv4Address("10.99.0.1")

DUEL_NODES = 400
SMALL, LARGE = 100, 1000
SIZES = (SMALL, 200, DUEL_NODES, 700, LARGE)


class BrokenRunError(Exception):
    """A measured command failed, or did not do what it was measured for."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: wall-clock and processor seconds, and peak resident memory in MB (10^6 bytes)."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Both programs as they are installed: compiled once, not at every start."""


@dataclass(frozen=True, slots=True)
class Size:
    """``wireloom export`` of ``nodes``: median seconds, highest peak, processor time per peer section."""

    nodes: int
    sections: int
    seconds: float
    peak_mb: float
    microseconds_per_section: float


@dataclass(frozen=True, slots=True)
class Duel:
    """Both programs on one mesh: median wall-clock seconds, least processor seconds."""

    wireloom_seconds: float
    meshconf_seconds: float
    wireloom_cpu_seconds: float
    meshconf_cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """What was measured beside what it should be."""

    what: str
    measured: float
    unit: str
    wanted: str
    met: bool


@dataclass(frozen=True, slots=True)
class Mesh:
    """A fleet of ``nodes`` on disk, its keys made and its lock written, ready to be exported."""

    nodes: int
    directory: Path

    @property
    def fleet(self) -> Path:
        """The intent that wireloom reads."""
        return self.directory / "fleet.yaml"

    @property
    def keys(self) -> Path:
        """The private keys, ``NAME.key``."""
        return self.directory / "keys"

    @property
    def database(self) -> Path:
        """The same nodes and keys as wg-meshconf reads them."""
        return self.directory / "database.csv"

    @property
    def names(self) -> list[str]:
        """The nodes' names, in order."""
        return [f"n{number:04}" for number in range(self.nodes)]


# --- what is measured ----------------------------------------------------------------------------


def write_fleet(mesh: Mesh) -> None:
    """``fleet.yaml``: every node with a public address of its own, so that everybody dials everybody."""
    lines = [
        "fleet: bench",
        "underlay: { interface: wg0, port: 51820, ipv4: 10.99.0.0/16 }",
        "sites: { dc: {} }",
    ]
    lines.append("nodes:")
    lines += [f"  {name}: {{ site: dc, public: [{FIRST_PUBLIC + n}] }}" for n, name in enumerate(mesh.names)]
    mesh.fleet.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_database(mesh: Mesh) -> None:
    """``database.csv`` of wg-meshconf: the same names, addresses, endpoints and keys as in the fleet."""
    rows = [
        {
            "Name": name,
            "Address": f"{FIRST_UNDERLAY + number}/32",
            "Endpoint": str(FIRST_PUBLIC + number),
            "ListenPort": PORT,
            "PrivateKey": (mesh.keys / f"{name}.key").read_text(encoding="ascii").strip(),
        }
        for number, name in enumerate(mesh.names)
    ]
    # The columns it expects; newline and quoting as it writes them itself.
    columns = (
        "Name Address Endpoint AllowedIPs ListenPort PersistentKeepalive FwMark PrivateKey DNS MTU Table"
    )
    hooks = "PreUp PostUp PreDown PostDown SaveConfig"
    with mesh.database.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, f"{columns} {hooks}".split(), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


def make_mesh(wireloom: Path, nodes: int, scratch: Path) -> Mesh:
    """A fleet with its keys made and its lock written by wireloom itself; not measured."""
    mesh = Mesh(nodes, scratch / f"mesh-{nodes}")
    mesh.directory.mkdir()
    write_fleet(mesh)
    out = mesh.directory / "first"
    run([wireloom, "-f", mesh.fleet, "export", "-o", out, "--keys", mesh.keys])
    shutil.rmtree(out)
    return mesh


def export_once(wireloom: Path, mesh: Mesh) -> Run:
    """``wireloom export`` into a new directory, checked to be the whole mesh."""
    out = mesh.directory / "wireloom-out"
    return measured_export([wireloom, "-f", mesh.fleet, "export", "-o", out], out, mesh)


def genconfig_once(meshconf: Path, mesh: Mesh) -> Run:
    """``wg-meshconf genconfig`` into a new directory, checked to be the whole mesh."""
    out = mesh.directory / "meshconf-out"
    return measured_export([meshconf, "-d", mesh.database, "genconfig", "-o", out], out, mesh)


def measured_export(command: Sequence[str | Path], out: Path, mesh: Mesh) -> Run:
    """Run ``command``, count what it wrote to ``out``, and remove that. Raises BrokenRunError."""
    result = run(command)
    files = list(out.rglob("*.conf"))
    peers = files[0].read_text(encoding="utf-8").count("[Peer]") if files else 0
    if len(files) != mesh.nodes or peers != mesh.nodes - 1:
        raise BrokenRunError(
            f"{Path(command[0]).name} wrote {len(files)} files and {peers} peers in the first,"
            f" not {mesh.nodes} and {mesh.nodes - 1}"
        )
    shutil.rmtree(out)
    return result


def run(command: Sequence[str | Path]) -> Run:
    """Run ``command`` to its end in silence. Raises BrokenRunError with the end of its output.

    Memory is the kernel's own peak for this child (wait4), in which Linux counts what the child was before
    its exec: a copy of this small program, far less than what it measures.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=ENVIRONMENT
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            output.seek(0)
            said = output.read()[-2000:].decode(errors="replace")
            words = " ".join(str(word) for word in command)
            raise BrokenRunError(f"`{words}` ended with {child.returncode}:\n{said}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


# --- the three questions -------------------------------------------------------------------------


def duel(wireloom: Path, meshconf: Path, scratch: Path, runs: int) -> Duel:
    """wireloom and wg-meshconf for one mesh, taken in turn."""
    mesh = make_mesh(wireloom, DUEL_NODES, scratch)
    write_database(mesh)
    # Compiled files and the page cache are warm for both: the first run of each is not counted.
    export_once(wireloom, mesh)
    genconfig_once(meshconf, mesh)
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(export_once(wireloom, mesh))
        theirs.append(genconfig_once(meshconf, mesh))
    shutil.rmtree(mesh.directory)
    return Duel(
        wireloom_seconds=median(one.seconds for one in ours),
        meshconf_seconds=median(one.seconds for one in theirs),
        wireloom_cpu_seconds=min(one.cpu_seconds for one in ours),
        meshconf_cpu_seconds=min(one.cpu_seconds for one in theirs),
    )


def grow(wireloom: Path, scratch: Path, runs: int, say: Callable[[str], None]) -> list[Size]:
    """``wireloom export`` at each size. The least mesh, of two nodes, stands for start-up.

    The cost of a section is reckoned from processor time, least of the runs: other work on the machine can
    only add to it, and would otherwise drown the few milliseconds of a small mesh.
    """
    start_up = 0.0
    sizes = []
    for nodes in (2, *SIZES):
        say(f"wireloom export of {nodes} nodes")
        mesh = make_mesh(wireloom, nodes, scratch)
        # Small ones are over in a blink: a median of more of them is as steady as one of a few large ones.
        results = [export_once(wireloom, mesh) for _ in range(runs if nodes > SMALL else 3 * runs)]
        shutil.rmtree(mesh.directory)
        cpu_seconds = min(result.cpu_seconds for result in results)
        if nodes == 2:
            start_up = cpu_seconds
            continue
        sections = nodes * (nodes - 1)
        seconds, peak = (
            median(result.seconds for result in results),
            max(result.peak_mb for result in results),
        )
        sizes.append(Size(nodes, sections, seconds, peak, (cpu_seconds - start_up) / sections * 1e6))
    return sizes


def help_seconds(wireloom: Path, runs: int) -> float:
    """Median seconds of ``wireloom --help``, after one that is not counted (compiled files, page cache)."""
    run([wireloom, "--help"])
    return median(run([wireloom, "--help"]).seconds for _ in range(runs))


# --- the report ----------------------------------------------------------------------------------


def judge(both: Duel, sizes: Sequence[Size], start: float) -> list[Target]:
    """The measurements that have a target, beside it."""
    of = {size.nodes: size for size in sizes}
    ratio, peak = both.meshconf_seconds / both.wireloom_seconds, of[LARGE].peak_mb
    growth = of[LARGE].microseconds_per_section / of[SMALL].microseconds_per_section
    return [
        Target(f"faster than wg-meshconf, {DUEL_NODES} nodes", ratio, "times", "at least 20", ratio >= 20),
        Target(f"peak memory, {LARGE} nodes", peak, "MB", "under 300", peak < 300),
        # A fixed part per node makes small meshes the dearer ones; only growth would be a fault.
        Target(
            f"cost per section, {LARGE} : {SMALL} nodes", growth, "times", "flat: at most 1.2", growth <= 1.2
        ),
        Target("wireloom --help", start, "s", "under 0.2", start < 0.2),
    ]


def print_report(both: Duel, sizes: Sequence[Size], targets: Sequence[Target]) -> None:
    """Both tables, on stdout."""
    print(f"full mesh of {DUEL_NODES} nodes   {'seconds':>9} {'CPU s':>9}")
    print(f"wireloom export          {both.wireloom_seconds:9.3f} {both.wireloom_cpu_seconds:9.3f}")
    print(f"wg-meshconf genconfig    {both.meshconf_seconds:9.3f} {both.meshconf_cpu_seconds:9.3f}\n")
    print(f"{'nodes':>6} {'peer sections':>14} {'seconds':>9} {'peak MB':>9} {'CPU µs/section':>15}")
    for size in sizes:
        print(
            f"{size.nodes:6,} {size.sections:14,} {size.seconds:9.3f} {size.peak_mb:9.0f}"
            f" {size.microseconds_per_section:15.2f}"
        )
    print_targets(targets)


def print_targets(targets: Sequence[Target]) -> None:
    """What was measured beside what it should be, on stdout."""
    print(f"\n{'target':<40} {'measured':>16}   wanted")
    for target in targets:
        verdict = "" if target.met else "   MISSED"
        whole = isinstance(target.measured, int)
        measured = f"{target.measured:,}" if whole else f"{target.measured:.2f}"
        print(f"{target.what:<40} {measured:>10} {target.unit:<5}   {target.wanted}{verdict}")


def install_meshconf(scratch: Path) -> Path:
    """wg-meshconf in an environment of its own, so that neither side's libraries change the other's."""
    directory = scratch / "meshconf-venv"
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", MESHCONF])
    return directory / "bin" / "wg-meshconf"


def find_scratch() -> Path:
    """Memory, where there is enough of it: what a disk takes to make a file is not what is measured here."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 10**9:
        return memory
    return Path(tempfile.gettempdir())


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument("--runs", type=int, default=5, help="runs per median (default 5)")
    parser.add_argument(
        "--meshconf", type=Path, help=f"an installed wg-meshconf (default: install {MESHCONF})"
    )
    parser.add_argument("--wireloom", type=Path, default=ROOT / ".venv" / "bin" / "wireloom")
    parser.add_argument(
        "--scratch", type=Path, help="where to work (default: the system's temporary directory)"
    )
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs: at least 1")
    return arguments


def main() -> int:
    """Measure, print, and write the JSON if asked."""
    arguments = parse_arguments()

    def say(what: str) -> None:
        print(f"bench: {what}", file=sys.stderr, flush=True)

    if os.getloadavg()[0] > 1:
        say(f"the machine is busy (load {os.getloadavg()[0]:.1f}): wall-clock times will be off, both sides'")

    try:
        with tempfile.TemporaryDirectory(prefix="wireloom-bench-", dir=arguments.scratch) as name:
            scratch = Path(name)
            if arguments.meshconf is None:
                say(f"installing {MESHCONF}")
            meshconf = arguments.meshconf or install_meshconf(scratch)
            say(f"wireloom export and wg-meshconf genconfig in turn, {DUEL_NODES} nodes each")
            both = duel(arguments.wireloom, meshconf, scratch, arguments.runs)
            sizes = grow(arguments.wireloom, scratch, arguments.runs, say)
            start = help_seconds(arguments.wireloom, max(arguments.runs, 10))
    except (BrokenRunError, OSError) as error:
        say(str(error))
        return 1

    targets = judge(both, sizes, start)
    print_report(both, sizes, targets)
    if arguments.json is not None:
        report = {
            "version": 1,
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "runs": arguments.runs,
            "load": os.getloadavg()[0],
            "duel": {"nodes": DUEL_NODES, **asdict(both)},
            "sizes": [asdict(size) for size in sizes],
            "help_seconds": start,
            "targets": [asdict(target) for target in targets],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
