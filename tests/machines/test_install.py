"""``check --nodes --install`` on real machines: apt for real, stand-ins for other package managers."""

from collections.abc import Iterator

import pytest

from tests.machines import spoils
from tests.machines.machine import Machine
from tests.machines.machines import Machines

TOOLS = "wireguard-tools"
PLACE = "/srv/packages"

REPACK = f"""\
set -e
work=$(mktemp -d)
cd /
dpkg -L {TOOLS} | sed -n 's,^/,,p' | grep -v '^[.]$' | tar --no-recursion -hcf - -T - | tar -xf - -C "$work"
mkdir "$work/DEBIAN" {PLACE}
dpkg-query -s {TOOLS} | grep -v ^Status: >"$work/DEBIAN/control"
for script in postinst postrm prerm; do
    cp "/var/lib/dpkg/info/{TOOLS}.$script" "$work/DEBIAN/$script"
done
chmod 755 "$work"
dpkg-deb --build --root-owner-group "$work" {PLACE} >/dev/null
rm -r "$work"
"""
"""The package that is installed, as a file again: no test needs the internet for it."""

INDEX = f"""\
set -e
cd {PLACE}
for file in *.deb; do
    dpkg-deb -f "$file"
    printf 'Filename: ./%s\\nSize: %s\\n' "$file" "$(stat -c %s "$file")"
    printf 'SHA256: %s\\n\\n' "$(sha256sum "$file" | cut -c 1-64)"
done >Packages
echo 'deb [trusted=yes] file:{PLACE} ./' >/etc/apt/sources.list
"""
PURGE = f"dpkg --purge --force-depends {TOOLS} 2>&1 && ! command -v wg"
INSTALLED = f"dpkg-query -W -f '${{db:Status-Abbrev}}' {TOOLS}"

FEDORA = 'ID=fedora\nPRETTY_NAME="Fedora Linux 43"\n'
ALPINE = 'ID=alpine\nPRETTY_NAME="Alpine Linux v3.24"\n'
LEAP = 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nPRETTY_NAME="openSUSE Leap 16.0"\n'

STAND_IN = """\
#!/bin/sh
printf '%s\\n' "${0##*/} $*" >>/run/asked
test ! -t 0 && case " $* " in
*' install '* | *' add '*) mv /usr/bin/wg.hidden /usr/bin/wg ;;
esac
"""


def purge(machine: Machine) -> None:
    machine.shell(PURGE)


@pytest.fixture
def bare(fleet: Machines) -> Iterator[Machine]:
    """A machine without wireguard-tools, but with a repository of its own that has them; whole afterwards."""
    beta = fleet["beta"]
    if not beta.run("ls", "/srv").strip():
        beta.shell(REPACK)
        beta.shell(INDEX)
    purge(beta)
    yield beta
    beta.shell(f"dpkg -i {PLACE}/*.deb")
    fleet.operator.run("check", "--nodes", "--yes")


def test_apt_brings_what_is_missing(fleet: Machines, bare: Machine) -> None:
    missing = fleet.operator.run("check", "--nodes", "--yes", expect=1)
    assert "w1: error: wg, wg-quick not found" in missing.stdout

    done = fleet.operator.json("check", "--nodes", "--install", "--yes")

    assert (done["ok"], done["findings"]) == (True, [])
    assert done["installed"] == [{"node": "w1", "packages": [TOOLS]}]
    assert bare.shell(INSTALLED) == "ii "
    assert fleet.operator.json("check", "--nodes", "--install", "--yes")["installed"] == []


def test_without_a_terminal_and_without_yes_nothing_is_installed(fleet: Machines, bare: Machine) -> None:
    known = fleet.operator.home / ".ssh" / "known_hosts"
    known.write_text(host_keys(fleet))
    try:
        refused = fleet.operator.run("check", "--nodes", "--install", expect=1)
    finally:
        known.unlink()
    assert "Install this on 1 machine? Nobody can be asked here\n    --yes says yes to it" in refused.stderr
    assert f"  w1  apt-get install {TOOLS}\n" in refused.stderr
    assert bare.shell("command -v wg", expect=None) == ""


@pytest.mark.parametrize(("word", "code", "there"), [("y", 0, True), ("n", 1, False)], ids=["yes", "no"])
def test_somebody_at_a_terminal_is_asked(
    word: str, code: int, there: bool, fleet: Machines, bare: Machine
) -> None:
    known = fleet.operator.home / ".ssh" / "known_hosts"
    known.write_text(host_keys(fleet))
    try:
        ended, said = fleet.operator.answer(word, "check", "--nodes", "--install")
    finally:
        known.unlink()
    assert ended == code, said
    assert bool(bare.shell("command -v wg", expect=None)) is there


def host_keys(group: Machines) -> str:
    """known_hosts of somebody who has logged in to all machines before."""
    ports = {"delta": 2222}
    lines = []
    for machine in group:
        key = machine.run("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        port = ports.get(machine.name)
        lines.append(f"[{machine.address.ip}]:{port} {key}" if port else f"{machine.address.ip} {key}")
    return "".join(lines)


def test_without_the_internet_it_is_said_what_to_copy_and_that_works(fleet: Machines, bare: Machine) -> None:
    bare.shell("mv /etc/apt/sources.list /root/; rm -rf /var/lib/apt/lists/*")
    bare.write("/etc/apt/sources.list", "deb http://packages.example.org/debian bookworm main\n")

    failed = fleet.operator.json("check", "--nodes", "--install", "--yes", expect=1)

    bare.shell("mv /root/sources.list /etc/apt/sources.list")
    installing, missing = failed["findings"]
    assert (installing["node"], installing["check"], installing["severity"]) == ("w1", "install", "error")
    assert installing["what"].startswith(f"apt-get install {TOOLS} failed (exit status 100): ")
    assert f"Unable to locate package {TOOLS}" in installing["what"]
    assert (
        f"x86_64: apt-get download {TOOLS}; copy the files to w1, and there: dpkg -i {TOOLS}_*.deb"
        in (installing["hint"])
    )
    assert missing["what"] == "wg, wg-quick not found"
    assert failed["installed"] == []

    bare.shell(f"cd {PLACE} && dpkg -i {TOOLS}_*.deb")
    assert fleet.operator.json("check", "--nodes", "--yes")["ok"]


OTHERS = {
    "dnf": (FEDORA, ["dnf -q -y --setopt=install_weak_deps=False install wireguard-tools"]),
    "apk": (ALPINE, ["apk --quiet --wait 60 update", "apk --quiet --wait 60 add wireguard-tools"]),
    "zypper": (LEAP, ["zypper --quiet --non-interactive install --no-recommends wireguard-tools"]),
}


@pytest.mark.parametrize("manager", OTHERS)
def test_other_package_managers_are_called_as_they_want_it(manager: str, fleet: Machines) -> None:
    release, expected = OTHERS[manager]
    delta = fleet["delta"]
    delta.run("mv", "/usr/bin/wg", "/usr/bin/wg.hidden")
    delta.write(f"/usr/local/sbin/{manager}", STAND_IN)
    delta.run("chmod", "755", f"/usr/local/sbin/{manager}")
    delta.run("rm", "-f", "/run/asked")
    with spoils.another_distribution(delta, release):
        done = fleet.operator.json("check", "--nodes", "--install", "--yes")
    delta.run("rm", f"/usr/local/sbin/{manager}")
    assert delta.run("cat", "/run/asked").splitlines() == expected
    assert done["installed"] == [{"node": "far1", "packages": [TOOLS]}]


def test_where_no_package_manager_is_known_it_is_said_what_is_needed(fleet: Machines) -> None:
    delta = fleet["delta"]
    with (
        spoils.another_distribution(delta, "ID=templeos\nPRETTY_NAME=TempleOS\n"),
        spoils.hidden(delta, "/usr/bin/apt-get"),
        spoils.hidden(delta, "/usr/bin/wg"),
    ):
        failed = fleet.operator.json("check", "--nodes", "--install", "--yes", expect=1)
    assert failed["installed"] == []
    assert ("far1", "install there what has wg, by its own package manager") in {
        (one["node"], one["hint"]) for one in failed["findings"]
    }
