"""The documented OpenRC service, run by a real OpenRC: in a root file system of its own, without its init."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.documents import find_blocks
from tests.machines.image import ImageError, Recipe, find_place, find_recipe, provide_image
from tests.machines.namespaces import Namespaces

PACKAGES = ("openrc", "wireguard-tools", "wireguard-go", "nftables", "iproute2", "procps")
FINISH = "rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*"

SWITCH_ON = """\
set -eu
mkdir -p "$1/changes" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/changes,workdir=$1/work" openrc "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs run run
mkdir dev/net
touch dev/net/tun
mount --bind /dev/net/tun dev/net/tun
mkdir -p etc/wireguard var/lib/wireloom/boot run/openrc
touch run/openrc/softlevel
# The clock and the kernel's settings are this computer's.
rm etc/runlevels/sysinit/*
"""

CONFIG = """\
[Interface]
Address = 10.99.0.1/16
Table = off
PreUp = nft 'add table inet wireloom'
PrivateKey = {key}
"""

NET = """\
#!/sbin/openrc-run
depend() { provide net; }
start() { ls /sys/class/net >/run/links-before; }
"""
NFTABLES = """\
#!/sbin/openrc-run
start() { nft flush ruleset; }
"""

Shell = Callable[[str], str]


@pytest.fixture(scope="module")
def root_file_system() -> Path:
    recipe = Recipe(find_recipe().suite, PACKAGES, FINISH)
    place = find_place(recipe)
    try:
        return provide_image(recipe, place.with_name(f"{place.name}-openrc"))
    except ImageError as error:
        pytest.fail(f"no image with OpenRC: {error}", pytrace=False)


@pytest.fixture
def shell(root_file_system: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a system with the service in the runlevel ``default`` and one interface to start at boot."""
    space = Namespaces.make(f"wireloom-test-{uuid4().hex[:12]}", tmp_path / "keeper.log")

    def run(script: str) -> str:
        return space.run("chroot", "/run/openrc/root", "sh", "-c", script)

    def write(path: str, text: str) -> None:
        file = space.root / "run/openrc/root" / path
        file.write_text(text)
        file.chmod(0o700)

    try:
        space.run("sh", "-c", SWITCH_ON, "sh", "/run/openrc", str(root_file_system))
        _, service = find_blocks("files-on-a-node.md", "Without systemd")
        write("etc/init.d/wireloom", service)
        write("etc/init.d/wire", NET)
        write("etc/init.d/nftables", NFTABLES)
        write("etc/wireguard/wg0.conf", CONFIG.format(key=run("wg genkey").strip()))
        write("var/lib/wireloom/boot/wg0", "")
        run("for one in wireloom wire nftables; do rc-update add $one default; done; openrc boot")
        yield run
    finally:
        space.close()


def test_a_boot_starts_the_interface_after_the_network_and_whatever_flushes_rules(shell: Shell) -> None:
    # By its real name it would be the last anyway: OpenRC goes by the alphabet where nothing else is said.
    shell("rc-update del wireloom default; mv /etc/init.d/wireloom /etc/init.d/a; rc-update add a default")
    shell("openrc default")
    assert "10.99.0.1/16" in shell("ip -br address show wg0")
    assert shell("cat /run/links-before") == "lo\n"
    assert shell("nft list tables") == "table inet wireloom\n"
    assert "started" in shell("rc-service a status")


def test_an_interface_that_an_apply_started_is_left_alone(shell: Shell) -> None:
    shell("wg-quick up wg0")
    before = shell("cat /sys/class/net/wg0/ifindex")
    shell("rc-service wireloom start")
    assert shell("cat /sys/class/net/wg0/ifindex") == before


def test_stopped_it_takes_the_interface_away_and_started_again_brings_it_back(shell: Shell) -> None:
    shell("rc-service wireloom start; rc-service wireloom stop")
    assert shell("ls /sys/class/net") == "lo\n"
    shell("rc-service wireloom start")
    assert shell("ls /sys/class/net") == "lo\nwg0\n"


def test_an_interface_that_does_not_start_fails_the_service(shell: Shell) -> None:
    shell("echo 'PreUp = false' >>/etc/wireguard/wg0.conf")
    assert "failed" in shell("rc-service wireloom start || echo failed")


def test_where_there_is_nothing_to_start_it_starts(shell: Shell) -> None:
    shell("rm /var/lib/wireloom/boot/wg0; rc-service wireloom start")
    assert shell("ls /sys/class/net") == "lo\n"
