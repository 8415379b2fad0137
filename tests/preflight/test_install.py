"""What an installation is: its packages, its script, and what its end means. Nothing is installed here."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.plan.machine import TOOLS
from tests.plan.world import away, settled
from tests.preflight.look import A, B, Changes, N, alter
from wireloom.observe.state import NodeState
from wireloom.preflight.finding import Check
from wireloom.preflight.install import (
    EXCERPT,
    Installation,
    install_script,
    judge_installation,
    plan_installations,
)


def planned(changes: dict[str, Changes]) -> list[Installation]:
    """Of a settled world with somebody away."""
    world = settled()
    world.away = away(N)
    seen = {
        name: alter(state, changes.get(name, {})) if isinstance(state, NodeState) else state
        for name, state in world.seen().items()
    }
    return list(plan_installations(seen))


def one(changes: Changes) -> Installation:
    [installation] = planned({A: changes})
    return installation


WANTED: dict[str, tuple[Changes, list[str]]] = {
    "nothing is missing": ({}, []),
    "what is required": ({"tools": TOOLS - {"wg", "wg-quick", "nft"}}, ["nftables", "wireguard-tools"]),
    "what is wanted later": ({"tools": TOOLS - {"tcpdump"}}, ["tcpdump"]),
    "an ip that is BusyBox's": ({"versions": {"ip": "BusyBox v1.36.1"}}, ["iproute2"]),
    "a program where the kernel can't": ({"kernel_wireguard": False, "link": None}, ["wireguard-go"]),
    "not that program where something runs": ({"kernel_wireguard": False}, []),
    "where nothing is understood": ({"tools": frozenset({"apt-get"}), "garbled": ("tools",)}, []),
    "where no package manager is known": ({"tools": TOOLS - {"wg", "apt-get"}}, []),
}


@pytest.mark.parametrize(("changes", "expected"), WANTED.values(), ids=WANTED)
def test_what_is_installed(changes: Changes, expected: list[str]) -> None:
    assert [package for each in planned({A: changes}) for package in each.packages] == expected


def test_every_machine_gets_what_it_lacks_itself() -> None:
    wanted = planned({A: {"tools": TOOLS - {"wg"}}, B: {"tools": TOOLS - {"nft"}}})
    assert [(each.node, str(each)) for each in wanted] == [
        ("a", "apt-get install wireguard-tools"),
        ("b", "apt-get install nftables"),
    ]


# ---- the script, run with stand-ins for package manager and timeout(1)

RECORDER = """\
#!/bin/sh
{ echo "${0##*/} $*"; echo "$DEBIAN_FRONTEND $NEEDRESTART_SUSPEND $ZYPP_LOCK_TIMEOUT"; } >>"$RECORD"
echo said
case " $* " in *' update '*) exit 9 ;; esac
exit "${STATUS:-0}"
"""
TIMEOUT = '#!/bin/sh\necho "at most $1" >>"$RECORD"\nshift\nexec "$@"\n'


def run(installation: Installation, place: Path, status: int = 0) -> tuple[int, list[str], str]:
    """The exit status of its script, what was called with which environment, and what was told."""
    for name, text in ((installation.family.manager, RECORDER), ("timeout", TIMEOUT)):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    record = place / "record"
    record.unlink(missing_ok=True)
    shell = shutil.which("sh")
    assert shell
    done = subprocess.run(
        [shell, "-s"],
        input=install_script(installation),
        env={"PATH": str(place), "RECORD": str(record), "STATUS": str(status)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, record.read_text().splitlines(), done.stderr


APT = (
    "apt-get -qq -y -o DPkg::Lock::Timeout=60 -o Acquire::Retries=1 -o Acquire::http::Timeout=20"
    " -o Acquire::https::Timeout=20 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)


def test_apt_is_told_to_ask_nothing_and_to_wait_for_a_bounded_time(tmp_path: Path) -> None:
    status, called, said = run(one({"tools": TOOLS - {"wg"}}), tmp_path)
    environment = "noninteractive 1 60"
    assert status == 0
    assert called == [
        *("at most 240", f"{APT} update", environment),
        *("at most 240", f"{APT} install --no-install-recommends wireguard-tools", environment),
    ]
    assert said == "said\nsaid\n"


def test_lists_that_can_not_be_renewed_are_no_reason_to_stop(tmp_path: Path) -> None:
    assert run(one({"tools": TOOLS - {"wg"}}), tmp_path, status=0)[0] == 0


def test_the_status_is_that_of_the_installation(tmp_path: Path) -> None:
    assert run(one({"tools": TOOLS - {"wg"}}), tmp_path, status=100)[0] == 100


@pytest.mark.parametrize(
    ("families", "manager", "expected"),
    [
        ("fedora", "dnf", ["dnf -q -y --setopt=install_weak_deps=False install iproute"]),
        ("alpine", "apk", ["apk --quiet --wait 60 update", "apk --quiet --wait 60 add iproute2"]),
        ("suse", "zypper", ["zypper --quiet --non-interactive install --no-recommends iproute2"]),
    ],
    ids=["dnf", "apk", "zypper"],
)
def test_other_package_managers(families: str, manager: str, expected: list[str], tmp_path: Path) -> None:
    changes = {"families": (families,), "tools": TOOLS - {"apt-get", "ip"} | {manager}}
    _, called, _ = run(one(changes), tmp_path)
    assert [line for line in called if line.startswith(manager)] == expected


# ---- how it ended


def test_an_installation_that_went_well_is_no_finding() -> None:
    assert judge_installation(one({"tools": TOOLS - {"wg"}}), 0, "noise") is None


FAILED = {
    "with words": (
        100,
        "E: Unable to\n locate \x1b[31m it\n",
        ' failed (exit status 100): "E: Unable to locate [31m it"',
    ),
    "without words": (1, "\n", " failed (exit status 1)"),
    "out of time": (124, "", " was not done within 240 s"),
}


@pytest.mark.parametrize(("status", "said", "expected"), FAILED.values(), ids=FAILED)
def test_an_installation_that_failed(status: int, said: str, expected: str) -> None:
    found = judge_installation(one({"tools": TOOLS - {"wg"}}), status, said)
    assert found is not None
    assert (found.node, found.check, found.is_error) == ("a", Check.INSTALL, True)
    assert found.what == f"apt-get install wireguard-tools{expected}"


def test_long_words_are_cut_where_they_begin() -> None:
    found = judge_installation(one({"tools": TOOLS - {"wg"}}), 1, "x" * 1000 + "END")
    assert found is not None
    assert found.what.endswith('xEND"')
    assert len(found.what) < EXCERPT + 80


COPIED = {
    "debian": ("apt-get", "apt-get download wireguard-tools", "dpkg -i wireguard-tools_*.deb"),
    "fedora": ("dnf", "dnf download --resolve wireguard-tools", "rpm -U wireguard-tools-*.rpm"),
    "alpine": ("apk", "apk fetch --recursive wireguard-tools", "apk add --no-network wireguard-tools-*.apk"),
    "suse": ("zypper", "zypper download wireguard-tools", "rpm -U wireguard-tools-*.rpm"),
}


@pytest.mark.parametrize("family", COPIED)
def test_without_the_internet_it_is_told_what_to_copy(family: str) -> None:
    manager, download, load = COPIED[family]
    changes = {"families": (family,), "tools": TOOLS - {"apt-get", "wg"} | {manager}, "distribution": "X 1"}
    found = judge_installation(one(changes), 1, "")
    assert found is not None
    where = "no way to the internet there? On another X 1, x86_64"
    assert found.hint == f"{where}: {download}; copy the files to a, and there: {load}"
