"""Which package has what, on which distribution: read as a table, and as what a person is told to type."""

import pytest

from tests.plan.world import settled
from tests.preflight.look import A, Changes, alter
from wireloom.observe.state import NodeState
from wireloom.preflight.packages import (
    ALPINE,
    DEBIAN,
    FAMILIES,
    FEDORA,
    SUSE,
    Family,
    advise_install,
    find_family,
)
from wireloom.preflight.tools import REQUIRED, WANTED


def seen(changes: Changes) -> NodeState:
    state = settled().seen()[A]
    assert isinstance(state, NodeState)
    return alter(state, changes)


RELEASES: dict[str, tuple[str, str, Family | None]] = {
    "Debian": ("debian", "apt-get", DEBIAN),
    "Ubuntu": ("ubuntu debian", "apt-get", DEBIAN),
    "Linux Mint": ("linuxmint ubuntu debian", "apt-get", DEBIAN),
    "Fedora": ("fedora", "dnf", FEDORA),
    "RHEL": ("rhel fedora", "dnf", FEDORA),
    "Rocky": ("rocky rhel centos fedora", "dnf", FEDORA),
    "Alpine": ("alpine", "apk", ALPINE),
    "openSUSE Leap": ("opensuse-leap suse opensuse", "zypper", SUSE),
    "SLES": ("sles suse", "zypper", SUSE),
    "Fedora with apt-get beside dnf": ("fedora", "apt-get dnf", FEDORA),
    "openSUSE with dnf beside zypper": ("opensuse-tumbleweed opensuse suse", "dnf zypper", SUSE),
    "nothing that is known, but apt-get": ("templeos", "apt-get", DEBIAN),
    "no os-release, but apk": ("", "apk", ALPINE),
    "Fedora without dnf": ("fedora", "", None),
    "Arch": ("arch", "", None),
}


@pytest.mark.parametrize(("families", "managers", "expected"), RELEASES.values(), ids=RELEASES)
def test_the_package_manager_is_the_distributions_own(
    families: str, managers: str, expected: Family | None
) -> None:
    changes = {"families": tuple(families.split()), "tools": frozenset(managers.split())}
    assert find_family(seen(changes)) is expected


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (
            DEBIAN,
            "coreutils gawk iproute2 iputils-ping nftables perl-base tcpdump util-linux wireguard-tools",
        ),
        (FEDORA, "coreutils gawk iproute iputils nftables perl tcpdump util-linux wireguard-tools"),
        (ALPINE, "coreutils gawk iproute2 iputils nftables perl tcpdump util-linux wireguard-tools"),
        (SUSE, "coreutils gawk iproute2 iputils nftables perl tcpdump util-linux wireguard-tools"),
    ],
    ids=lambda one: one.manager if isinstance(one, Family) else "",
)
def test_every_family_has_every_tool(family: Family, expected: str) -> None:
    assert " ".join(family.packages_of([*REQUIRED, *WANTED])) == expected
    assert set(REQUIRED) | set(WANTED) <= set(family.packages)


def test_no_family_installs_the_metapackage() -> None:
    assert "wireguard" not in {package for family in FAMILIES for package in family.packages.values()}


FEDORA_43 = {"families": ("fedora",), "tools": frozenset({"dnf"}), "distribution": "Fedora 43"}
HERE = "(or here: wireloom check --nodes --install)"

ADVICE: dict[str, tuple[Changes, str, str]] = {
    "two tools of one package": ({}, "wg wg-quick", f"install there: apt-get install wireguard-tools {HERE}"),
    "dnf": (FEDORA_43, "ip nft", f"install there: dnf install iproute nftables {HERE}"),
    "a tool that is in no package": (
        FEDORA_43,
        "wg wireguard-go",
        f"install there: dnf install wireguard-tools; wireguard-go is in no package of Fedora 43 {HERE}",
    ),
    "only such a tool": (
        FEDORA_43,
        "wireguard-go",
        "install there what has wireguard-go, by its own package manager",
    ),
    "no package manager that is known": (
        {"families": ("arch",), "tools": frozenset()},
        "wg nft",
        "install there what has wg, nft, by its own package manager",
    ),
}


@pytest.mark.parametrize(("changes", "tools", "expected"), ADVICE.values(), ids=ADVICE)
def test_advice(changes: Changes, tools: str, expected: str) -> None:
    assert advise_install(seen(changes), tools.split()) == expected
