"""What the probes of k3s printed → K3sSeen and Members. Pure; garbage makes a parser raise ValueError."""

import json
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import TypeVar

from wireloom.cluster.places import RESTART_DUE, STATE, Role
from wireloom.cluster.probe import DISTURBERS, PORTS, SECRETS, SHOWN
from wireloom.cluster.seen import FileSeen, K3sSeen, K3sStamp, Leftover, Member, Rival
from wireloom.values import Address, NodeName, Prefix, PublicKey

CONTROLLERS = frozenset(
    {"cpu", "cpuacct", "cpuset", "memory", "pids", "io", "blkio", "devices", "freezer", "hugetlb"}
)
"""Names of cgroup controllers (cgroups(7)); a named hierarchy is none."""

FILE = "file "
"""How the sections of files are named; see look.sh."""

MOST_PROSE = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"k3s version (v\S+)")

T = TypeVar("T")


def parse_seen(name: NodeName, sections: Mapping[str, str]) -> K3sSeen:
    """The answers of all probes but that of members; what printed garbage is named in ``garbled``."""
    garbled: list[str] = []

    def read(probe: str, parser: Callable[[str], T], fallback: T) -> T:
        try:
            return parser(sections.get(probe, ""))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            garbled.append(probe)
            return fallback

    no_units: Mapping[str, tuple[str, bool]] = {}
    no_modes: Mapping[str, tuple[int, int]] = {}
    no_leftovers: tuple[Leftover, ...] = ()
    units = read("units", parse_units, no_units)
    role, second = choose_role(units)
    active, enabled = (
        units.get(f"{role.service}.service", ("inactive", False)) if role else ("inactive", False)
    )
    modes = read("modes", parse_modes, no_modes)
    ran = read("ran", parse_ran, None)
    architecture, systemd = read("machine", parse_machine, ("", True))
    cgroup, controllers = read("resources", parse_cgroups, (2, frozenset[str]()))
    return K3sSeen(
        name=name,
        version=read("version", parse_version, None),
        role=role,
        enabled=enabled,
        active=active,
        files={
            path: FileSeen(sections[FILE + path], modes[path][0])
            for path in SHOWN
            if path in modes and FILE + path in sections
        },
        ran=ran,
        data=ran is not None and role in {ran, None},
        cluster=read("cluster", parse_digest, ""),
        tokens=frozenset(path for path in SECRETS if modes.get(path, (0, 0))[1]),
        open_tokens=frozenset(path for path in SECRETS if modes.get(path, (0, 0))[0] & 0o077),
        token_cas=read(
            "token-cas", lambda text: frozenset(map(parse_digest, text.split())), frozenset[str]()
        ),
        restart_due=RESTART_DUE in modes,
        stamp=read(FILE + STATE, parse_stamp, None),
        leftovers=read("leftovers", parse_leftovers, no_leftovers) + second,
        controllers=controllers,
        withheld=parse_kernel_controllers(sections.get("resources", "")) - controllers,
        cgroup=cgroup,
        memory=read("resources", lambda text: parse_bytes(text, "memory"), 0),
        swap=read("resources", lambda text: parse_bytes(text, "swap"), 0),
        holders=read("ports", parse_holders, {}),
        kernel=read("kernel", parse_kernel, None),
        disturbers=find_disturbers(units) | set(sections.get("ufw", "").split()),
        systemd=systemd,
        architecture=architecture,
        garbled=tuple(dict.fromkeys(garbled)),
    )


def parse_machine(text: str) -> tuple[str, bool]:
    """Lines: what `uname -m` says, and ``systemd`` where that runs."""
    architecture, *rest = text.split()
    return architecture, rest == ["systemd"]


def parse_version(text: str) -> str | None:
    """``there``, and ``k3s version v1.34.2+k3s1 (…)``; nothing at all where there is no binary."""
    if not text.strip():
        return None
    found = _VERSION.search(text)
    return found[1] if found else ""


def parse_units(text: str) -> dict[str, tuple[str, bool]]:
    """Lines ``UNIT STATE enabled|disabled`` → the state, and whether it is started at boot."""
    lines = (line.split() for line in text.splitlines() if line.strip())
    return {unit: (state, enabled == "enabled") for unit, state, enabled in lines}


def choose_role(units: Mapping[str, tuple[str, bool]]) -> tuple[Role | None, tuple[Leftover, ...]]:
    """Whose unit counts where both are there: the one that runs, or is started at boot; and the other."""
    there = [role for role in Role if f"{role.service}.service" in units]
    there.sort(key=lambda role: _weigh(*units[f"{role.service}.service"]))
    return (
        there[0] if there else None,
        tuple(Leftover(Rival.SECOND, f"{role.service}.service") for role in there[1:]),
    )


def _weigh(state: str, enabled: bool) -> tuple[bool, bool]:
    return state == "inactive", not enabled


def find_disturbers(units: Mapping[str, tuple[str, bool]]) -> frozenset[str]:
    """Those units at work that are not k3s' own, without their endings."""
    return frozenset(
        unit.rpartition(".")[0] for unit in DISTURBERS if units.get(unit, ("", False))[0] == "active"
    )


def parse_modes(text: str) -> dict[str, tuple[int, int]]:
    """Lines ``MODE SIZE PATH`` → mode and bytes by path."""
    lines = (line.split(" ", 2) for line in text.splitlines() if line.strip())
    return {path: (int(mode, 8), int(size)) for mode, size, path in lines}


def parse_ran(text: str) -> Role | None:
    """``server`` or ``agent``; nothing where k3s has not run."""
    return Role(f"k3s-{text.strip()}") if text.strip() else None


def parse_digest(text: str) -> str:
    """What sha256sum(1) prints; nothing where there is no certificate."""
    if not text.strip():
        return ""
    digest = text.split(maxsplit=1)[0]
    if not _SHA256.fullmatch(digest):
        raise ValueError("no SHA-256")
    return digest


def parse_stamp(text: str) -> K3sStamp | None:
    """Lines ``fleet=NAME``, ``pods=RANGE,RANGE``, ``services=…``; nothing where there is no file."""
    if not text.strip():
        return None
    values = dict(line.split("=", 1) for line in text.split())
    return K3sStamp(values["fleet"], _ranges(values.get("pods", "")), _ranges(values.get("services", "")))


def _ranges(text: str) -> tuple[Prefix, ...]:
    return tuple(ip_network(one) for one in re.split(r"[, ]+", text.strip()) if one)


def parse_leftovers(text: str) -> tuple[Leftover, ...]:
    """Lines ``RIVAL PLACE``; of an interface its name."""
    lines = (line.split(" ", 1) for line in text.splitlines() if line.strip())
    return tuple(Leftover(Rival(rival), at.removeprefix("/proc/sys/net/ipv4/conf/")) for rival, at in lines)


def parse_cgroups(text: str) -> tuple[int, frozenset[str]]:
    """Lines ``cgroup VERSION CONTROLLERS``: the version that counts, and what it has.

    Both may be there: the second one is told of, and counts, where it is at the root of all.
    """
    lines = [line.split(" ", 2) for line in text.splitlines() if line.startswith("cgroup ")]
    by_version = {int(line[1]): set[str]() for line in lines}
    for line in lines:
        by_version[int(line[1])] |= set(re.split(r"[ ,]", line[2] if len(line) > 2 else ""))
    version = 2 if 2 in by_version or not by_version else 1
    return version, frozenset(by_version.get(version, set()) & CONTROLLERS)


def parse_kernel_controllers(text: str) -> frozenset[str]:
    """Lines ``kernel CONTROLLER`` among the others."""
    return CONTROLLERS & {line.removeprefix("kernel ") for line in text.splitlines()}


def parse_bytes(text: str, what: str) -> int:
    """``WHAT KIB`` among the lines, in bytes. Raises ValueError where it is not told."""
    for line in text.splitlines():
        word, _, value = line.partition(" ")
        if word == what:
            return int(value) * 1024
    raise ValueError(f"no word about {what}")


def parse_holders(text: str) -> dict[int, str]:
    """Lines ``taken HEX``, and those of ``ss -Hltnp`` where it is there: who listens, by port."""
    words = [line.split() for line in text.splitlines() if line.strip()]
    taken = {int(line[1], 16): "" for line in words if line[0] == "taken"}
    if not taken.keys() <= set(PORTS):
        raise ValueError("not one of k3s' ports")
    for line in words:
        port = line[3].rpartition(":")[2] if len(line) > 3 else ""
        if port.isdecimal() and int(port) in taken:
            who = re.findall(r'\("([^"]*)",pid=(\d+)', " ".join(line[5:]))
            taken[int(port)] = ", ".join(
                dict.fromkeys(f"{_printable(name, 40)} (process {pid})" for name, pid in who)
            )
    return taken


def parse_kernel(text: str) -> frozenset[str] | None:
    """``asked``, and the names of modules; nothing where k3s runs."""
    words = text.split()
    if words[:1] not in ([], ["asked"]):
        raise ValueError("not asked")
    return frozenset(words[1:]) if words else None


def parse_members(text: str) -> dict[NodeName, Member] | None:
    """``told``, and kubectl's lines; None where no server runs. Raises ValueError: why kubectl could not.

    What kubectl says besides is passed over: a warning, the rest of a reason with line breaks in it.
    """
    if not text.strip():
        return None
    head, _, rest = text.lstrip("\n").partition("\n")
    if head != "told":
        raise ValueError(_printable(rest.strip().rpartition("\n")[2], MOST_PROSE) or "kubectl gave no answer")
    try:
        members = [_parse_member(line) for line in rest.split("\n") if line.startswith("node\t")]
    except (ValueError, LookupError):
        raise ValueError("what kubectl says of the nodes makes no sense") from None
    return {one.name: one for one in members}


def _parse_member(line: str) -> Member:
    """A line as MEMBER_COLUMNS has it."""
    _, name, cordoned, addresses, pods, version, server, voter, backend, data, ready, *why = line.split("\t")
    reason, message = why[0], " ".join(why[1:])
    return Member(
        name=NodeName(name),
        ready=ready == "True",
        internal=_addresses(addresses, "InternalIP"),
        external=_addresses(addresses, "ExternalIP"),
        server=server != "",
        etcd_voter=voter == "True" if voter else None,
        version=version,
        pods=_ranges(pods),
        flannel_backend=_printable(backend, 40),
        flannel_key=_flannel_key(data),
        schedulable=cordoned != "true",
        reason="" if ready == "True" else _printable(": ".join(filter(None, (reason, message))), MOST_PROSE),
    )


def _addresses(text: str, kind: str) -> tuple[Address, ...]:
    pairs = (one.partition("=") for one in text.split())
    return tuple(ip_address(address) for word, _, address in pairs if word == kind)


def _flannel_key(data: str) -> PublicKey | None:
    """Of the wireguard backend's data (flannel, pkg/backend/wireguard); the others have no key in theirs."""
    published = json.loads(data) if data.strip() else None
    key = published.get("PublicKey") if isinstance(published, dict) else None
    return PublicKey(key) if key else None


def _printable(text: str, most: int) -> str:
    """A machine's own words, short and safe for a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.strip())[:most]
