"""Which package has which command, and how each family of distributions installs it: data, and its words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wireloom.observe.state import NodeState


@dataclass(frozen=True, slots=True)
class Family:
    """Distributions with the same package manager and the same names of packages.

    ``manager`` is the command. ``known_as`` are their IDs in os-release(5). ``install`` is what a person
    types, packages follow. ``unattended`` are the commands for nobody at the keyboard, packages follow the
    last: what comes before it (new lists of packages) may fail. ``download`` brings packages as files, on a
    machine with the internet, ``file`` is the name of one, and ``load`` installs them where there is none.
    """

    manager: str
    known_as: frozenset[str]
    packages: Mapping[str, str]
    install: str
    unattended: tuple[tuple[str, ...], ...]
    download: str
    file: str
    load: str

    def packages_of(self, tools: Iterable[str]) -> tuple[str, ...]:
        """The packages that have these commands; those of which the family has none are left out."""
        return tuple(sorted({self.packages[tool] for tool in tools if tool in self.packages}))


_COMMON = {
    "wg": "wireguard-tools",
    "wg-quick": "wireguard-tools",
    "awk": "gawk",
    "sha256sum": "coreutils",
    "flock": "util-linux",
    "unshare": "util-linux",
    "nft": "nftables",
    "tcpdump": "tcpdump",
    "perl": "perl",
}

_APT = (
    *("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=1"),
    *("-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"),
    # A question about a changed file of /etc would wait for ever: the machine's own stays.
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)

DEBIAN = Family(
    manager="apt-get",
    known_as=frozenset({"debian", "ubuntu", "raspbian"}),
    # Not the metapackage `wireguard`: it wants a kernel module's package.
    packages={
        **_COMMON,
        **{"ip": "iproute2", "ping": "iputils-ping", "wireguard-go": "wireguard-go", "perl": "perl-base"},
    },
    install="apt-get install",
    unattended=((*_APT, "update"), (*_APT, "install", "--no-install-recommends")),
    download="apt-get download {packages}",
    file="{package}_*.deb",
    load="dpkg -i {files}",
)
FEDORA = Family(
    manager="dnf",
    known_as=frozenset({"fedora", "rhel", "centos", "rocky", "almalinux", "ol"}),
    packages={**_COMMON, "ip": "iproute", "ping": "iputils"},
    install="dnf install",
    unattended=(("dnf", "-q", "-y", "--setopt=install_weak_deps=False", "install"),),
    download="dnf download --resolve {packages}",
    file="{package}-*.rpm",
    load="rpm -U {files}",
)
ALPINE = Family(
    manager="apk",
    known_as=frozenset({"alpine"}),
    packages={**_COMMON, "ip": "iproute2", "ping": "iputils", "wireguard-go": "wireguard-go"},
    install="apk add",
    unattended=(("apk", "--quiet", "--wait", "60", "update"), ("apk", "--quiet", "--wait", "60", "add")),
    download="apk fetch --recursive {packages}",
    file="{package}-*.apk",
    load="apk add --no-network {files}",
)
SUSE = Family(
    manager="zypper",
    known_as=frozenset({"suse", "opensuse", "sles"}),
    packages={**_COMMON, "ip": "iproute2", "ping": "iputils"},
    install="zypper install",
    unattended=(("zypper", "--quiet", "--non-interactive", "install", "--no-recommends"),),
    download="zypper download {packages}",
    file="{package}-*.rpm",
    load="rpm -U {files}",
)
FAMILIES = (DEBIAN, FEDORA, ALPINE, SUSE)


def is_known(state: NodeState) -> bool:
    """Whether its distribution, or one that it says it is like, is in the table."""
    return any(family.known_as & set(state.ground.families) for family in FAMILIES)


def find_family(state: NodeState) -> Family | None:
    """How packages are installed there: as its distribution does, else by a manager that is there anyway."""
    there = [family for family in FAMILIES if family.manager in state.system.tools]
    for name in state.ground.families:
        for family in there:
            if name in family.known_as:
                return family
    return there[0] if there else None


def advise_install(state: NodeState, tools: Iterable[str]) -> str:
    """What to type on the machine to get these commands."""
    wanted = tuple(tools)
    family = find_family(state)
    packages = family.packages_of(wanted) if family else ()
    if family is None or not packages:
        return f"install there what has {', '.join(wanted)}, by its own package manager"
    homeless = [tool for tool in wanted if tool not in family.packages]
    rest = f"; {', '.join(homeless)} is in no package of {state.system.distribution}" if homeless else ""
    command = f"{family.install} {' '.join(packages)}"
    return f"install there: {command}{rest} (or here: wireloom check --nodes --install)"


def advise_copy(state: NodeState, family: Family, packages: Iterable[str]) -> str:
    """How packages come to a machine that has no way to the internet."""
    names = tuple(packages)
    files = " ".join(family.file.format(package=name) for name in names)
    system = state.system
    return (
        f"no way to the internet there? On another {system.distribution}, {system.architecture}:"
        f" {family.download.format(packages=' '.join(names))}; copy the files to {state.name}, and there:"
        f" {family.load.format(files=files)}"
    )
