"""Labs that run on this computer: built, found, entered and taken down."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.intent.fleet import Fleet
from wireloom.lab import processes
from wireloom.lab.build import ENVIRONMENT, build
from wireloom.lab.claim import LABS, claimed
from wireloom.lab.plan import CROWD, INTERNET, OPERATOR, crowded, plan_lab, router_namespace
from wireloom.lab.processes import Kind, LabProcess
from wireloom.lab.requirements import require_everything, require_root
from wireloom.lab.script import digest, files
from wireloom.values import NodeName, SiteName

READY = "run/lab/ready"
"""What a complete lab has in its own /run: the digest of its plan, and a name for this one building."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that runs. ``machines``: name → PID of the machine's first process, as seen from here.

    ``directory`` holds the operator's key ``id_ed25519`` and the log. ``digest`` tells plans apart,
    ``instance`` tells this lab from one that was built again from the same plan; both are empty while
    the lab is not complete.
    """

    name: str
    fleet_path: Path
    machines: Mapping[NodeName, int]
    directory: Path
    init: int
    digest: str = ""
    instance: str = ""

    @property
    def complete(self) -> bool:
        """Whether every machine answered when it was built; a half-built lab is good for ``down`` only."""
        return bool(self.instance)

    @property
    def identity(self) -> Path:
        """The private key that root of every machine lets in."""
        return self.directory / "id_ed25519"


def up(fleet: Fleet, progress: Callable[[str], None]) -> Lab:
    """Build the lab of a fleet, or return it when it is up already.

    Whatever ends the building early, a signal among it, takes the lab down completely. Raises UserError
    when something is missing on this computer, when the name is taken, when the fleet has changed under
    a lab that is up, and when a machine does not come up.
    """
    require_everything()
    with claimed(fleet.name):
        standing = _look(fleet.name)
        if standing is not None and standing.complete:
            _require_same(standing, fleet)
            return standing
        if _remove(fleet.name):
            progress(f"took down a half-built lab {fleet.name}")
        try:
            _build(fleet, progress)
            built = _look(fleet.name)
        except BaseException:
            _remove(fleet.name)
            raise
    if built is None or not built.complete:
        raise UserError.one(f"lab {fleet.name} went away as soon as it was up", hint="was it killed?")
    return built


def down(name: str) -> bool:
    """Take a lab down, complete or not, with every process, namespace and mount. False: it wasn't up."""
    require_root()
    if not _is_name(name):
        return False
    with claimed(name):
        return _remove(name)


def find(name: str) -> Lab | None:
    """The complete lab of that name, None when there is none."""
    require_root()
    lab = _look(name)
    return lab if lab is not None and lab.complete else None


def running() -> list[Lab]:
    """Every lab on this computer, by name, half-built ones among them."""
    require_root()
    return _labs(processes.scan())


def still_up(lab: Lab) -> bool:
    """Whether the lab's PIDs still mean this lab."""
    return processes.is_alive(LabProcess(lab.init, Kind.LAB, lab.name, str(lab.fleet_path)))


def namespace_path(lab: Lab, namespace: str) -> Path:
    """The file that stands for one of the lab's network namespaces, as seen from outside of the lab."""
    return _root(lab.init) / "run/netns" / namespace


def enter(lab: Lab, target: str, argv: list[str]) -> int:
    """Run a command at a place in the lab, with our own stdin, stdout and stderr.

    ``target`` is a machine, or ``@internet``, ``@operator`` or ``@SITE`` for the router of a site. No
    command means a shell. Returns the command's exit status, 128 + N if signal N ended it. Raises UserError
    for a target that the lab doesn't have.
    """
    with _interrupts_left_to_the_command():
        status = subprocess.run(entry(lab, target, argv), env=_session(), check=False).returncode
    return status if status >= 0 else 128 - status


def entry(lab: Lab, target: str, argv: list[str]) -> list[str]:
    """The argument list that runs ``argv`` at a place in the lab, as root only (see ``enter``)."""
    known = targets(lab)
    if target not in known:
        raise UserError.one(
            f"lab {lab.name} has no machine {target!r}", hint=f"there are: {', '.join(known) or 'none'}"
        )
    where = known[target]
    spaces = ["--mount", "--uts", "--ipc", "--pid", "--net"] if where is None else _router_spaces(lab, where)
    pid = lab.init if where else lab.machines[NodeName(target)]
    # The shell is only there to begin in root's home; the command stays a list of arguments.
    at_home = ["sh", "-c", 'cd && exec "$@"', "sh", *(argv or ["bash"])]
    return ["nsenter", f"--target={pid}", *spaces, "--", *at_home]


def targets(lab: Lab) -> dict[str, str | None]:
    """What can be entered: machines (None), then ``@internet``, ``@operator``, ``@SITE`` → their namespaces.

    A site called ``internet`` or ``operator`` is ``@site-internet``, ``@site-operator``.
    """
    known: dict[str, str | None] = dict.fromkeys(lab.machines)
    try:
        present = {one.name for one in namespace_path(lab, "").iterdir()}
    except OSError:
        raise UserError.one(f"lab {lab.name} is not up", hint="build it: wireloom lab up") from None
    known |= {f"@{one}": one for one in (INTERNET, OPERATOR) if one in present}
    prefix = router_namespace(SiteName(""))
    for namespace in sorted(one for one in present if one.startswith(prefix)):
        short = f"@{namespace.removeprefix(prefix)}"
        known[f"@{namespace}" if short in known else short] = namespace
    return known


def _router_spaces(lab: Lab, namespace: str) -> list[str]:
    """A router is a network namespace only; the rest is the lab's own."""
    return ["--mount", "--ipc", "--pid", f"--net={namespace_path(lab, namespace)}"]


def _session() -> dict[str, str]:
    """The environment of a command in the lab: root's, and the terminal's kind."""
    terminal = {name: os.environ[name] for name in ("TERM", "COLORTERM") if name in os.environ}
    return {**ENVIRONMENT, "LC_ALL": "C.UTF-8", "USER": "root", "LOGNAME": "root", **terminal}


@contextmanager
def _interrupts_left_to_the_command() -> Iterator[None]:
    """Ctrl-C is for the command in the lab, an interactive shell say; it reaches it by the terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A handler, not SIG_IGN: handlers are not inherited by the command, an ignored signal is.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _build(fleet: Fleet, progress: Callable[[str], None]) -> None:
    """Make the keys, then the lab."""
    for site in crowded(fleet):
        progress(
            f"warning: more than {CROWD} machines share a private network in {site}: this kernel's neighbour"
            " table may run full, and some pairs then never answer; if so, raise"
            " net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3 to 16384 with sysctl"
        )
    directory = LABS / fleet.name
    directory.mkdir(mode=0o700)
    comment = f"operator of lab {fleet.name}"
    make_key = [
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        comment,
        "-f",
        str(directory / "id_ed25519"),
    ]
    subprocess.run(make_key, env=ENVIRONMENT, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    plan = plan_lab(fleet, _public_key(directory))
    progress(f"lab {fleet.name}: {count(len(fleet.nodes), 'machine')} at {count(len(fleet.sites), 'site')}")
    build(plan, fleet.path.resolve(), directory, progress)


def _public_key(directory: Path) -> str:
    return (directory / "id_ed25519.pub").read_text("utf-8").strip()


def _require_same(standing: Lab, fleet: Fleet) -> None:
    """Raise UserError unless the lab that is up is the one that this fleet would get."""
    take_it_down = f"take it down first: wireloom -f {standing.fleet_path} lab down"
    if standing.fleet_path != fleet.path.resolve():
        raise UserError.one(
            f"a lab named {standing.name} is up already, made from {standing.fleet_path}",
            hint=f"{take_it_down}, or give this fleet another name",
        )
    try:
        operator_key = _public_key(standing.directory)
    except FileNotFoundError:
        raise UserError.one(f"lab {standing.name} has lost its keys", hint=take_it_down) from None
    if digest(files(plan_lab(fleet, operator_key))) != standing.digest:
        raise UserError.one(
            f"lab {standing.name} is up already, but the fleet's machines or networks have changed since",
            hint=take_it_down,
        )


def _remove(name: str) -> bool:
    """Take down what there is of a lab: its processes, then its directory."""
    found = processes.take_down(name)
    shutil.rmtree(LABS / name, ignore_errors=True)
    return found


def _is_name(name: str) -> bool:
    """Whether a lab can have that name: one path component, and no way out of the directory of labs."""
    return bool(name) and Path(name).name == name and not name.startswith(".")


def _look(name: str) -> Lab | None:
    return next((lab for lab in _labs(processes.scan()) if lab.name == name), None)


def _labs(found: list[LabProcess]) -> list[Lab]:
    """The labs that these processes make up, by name."""
    labs = []
    for init in sorted((one for one in found if one.kind is Kind.LAB), key=lambda one: one.lab):
        machines = {
            NodeName(one.detail): one.pid for one in found if (one.kind, one.lab) == (Kind.MACHINE, init.lab)
        }
        plan_digest, instance = _readiness(init.pid)
        in_order = dict(sorted(machines.items()))
        labs.append(
            Lab(init.lab, Path(init.detail), in_order, LABS / init.lab, init.pid, plan_digest, instance)
        )
    return labs


def _readiness(init: int) -> tuple[str, str]:
    """The plan's digest and the instance of a complete lab; two empty texts for another."""
    try:
        plan_digest, instance = (_root(init) / READY).read_text("utf-8").split()
    except (OSError, ValueError):
        return "", ""
    return plan_digest, instance


def _root(pid: int) -> Path:
    """The file system as a process sees it."""
    return processes.PROC / str(pid) / "root"
