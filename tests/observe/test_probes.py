"""The probes run for real: every shell gives the same answer, and no key is in it."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tests.apply.sandbox import Sandbox, sandbox
from wireloom.observe.parse import parse_state
from wireloom.observe.probes import PROBES, probe_script, split_sections
from wireloom.observe.state import SECRET, Access, ConfigKind, KeyKind, NodeState, OtherFleet
from wireloom.values import NodeName, PublicKey

PRIVATE = "KB9FAlU+ODwKZetBQSdsXAEqtewMI5Xxea77B85hFmQ="
PUBLIC = PublicKey("N9s3unphe9iF17wpvOCCTUpkhmfNF0Sh6sOpJSlD+zY=")
PRESHARED = "Z/84SswZZKbl6PsceYB+bu9kvnwKVE5iQXkqmGdtO6k="
OLD = "oLDqtewMI5Xxea77B85hFmQKB9FAlU+ODwKZetBQSds="
PEER = PublicKey("vczH6YJzRo7zAvOJMtW3w5TSG21zUFpNCs4u2G9Sjl0=")
SECRETS = [secret.rstrip("=") for secret in (PRIVATE, PRESHARED, OLD)]

SHELLS = {
    name: command
    for name, command in {
        "dash": ("dash", "-s"),
        "bash": ("bash", "--posix", "-s"),
        "busybox": ("busybox", "sh", "-s"),
    }.items()
    if shutil.which(command[0])
}
BAD_KEYS = {"cut": OLD[:-3], "doubled": OLD * 2, "with a remark": f"{OLD} # ours"}
lab = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

KEYLESS = f"""\
# Written by wireloom for a, a node of the fleet shop: change fleet.yaml, not this file.
[Interface]
Address = 10.99.0.1/16
ListenPort = 51820

[Peer]
PublicKey = {PEER}
AllowedIPs = 10.99.0.2/32
"""

MACHINE = f"""\
umask 077
echo {PRIVATE} >/etc/wireguard/wg0.key
echo {PRESHARED} >/etc/wireguard/preshared
cat >/etc/wireguard/wg0.conf <<'X'
{KEYLESS.replace("ListenPort = 51820", f"PrivateKey = {PRIVATE}{chr(10)}ListenPort = 51820")}X
mkdir -p /var/lib/wireloom/boot
: >/var/lib/wireloom/boot/wg0
printf 'fleet=shop\\ngeneration=3\\nnetwork=feed\\ndigest=beef\\n' >/var/lib/wireloom/wg0.state
wg-quick up wg0 && wg set wg0 peer {PEER} preshared-key /etc/wireguard/preshared
"""
SQUATTER = 'use IO::Socket::INET; IO::Socket::INET->new(Proto => "udp", LocalPort => 500) and sleep'


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def answer(machine: Sandbox, *, shell: tuple[str, ...] = ("dash", "-s"), port: int = 51820) -> str:
    done = machine.sh(probe_script("wg0", "NONCE", port=port), shell=shell)
    assert done.returncode == 0, done.stderr
    return done.stdout


def look(machine: Sandbox, *, shell: tuple[str, ...] = ("dash", "-s"), port: int = 51820) -> NodeState:
    seen = parse_state(NodeName("a"), split_sections(answer(machine, shell=shell, port=port), "NONCE"))
    assert seen.garbled == ()
    return seen


class TestOnAMachine:
    pytestmark = lab

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_a_running_node(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(MACHINE)
        seen = look(machine, shell=shell)
        assert seen.link is not None
        assert seen.link.public_key == seen.public_key == PUBLIC
        assert seen.link.peers[PEER].preshared
        assert (seen.config.kind, seen.config.keyless, seen.config.access) == (
            ConfigKind.OURS,
            KEYLESS,
            SECRET,
        )
        assert seen.stamp is not None
        assert seen.enabled

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_no_key_is_in_the_answer(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(MACHINE)
        machine.ask(
            f"printf 'PresharedKey = {PRESHARED}\\n#PrivateKey={OLD}\\n  privatekey\\t= {OLD}\\n'"
            " >>/etc/wireguard/wg0.conf"
        )
        told = answer(machine, shell=shell)
        assert not [secret for secret in SECRETS if secret in told]

    def test_a_key_that_somebody_added_to_our_file_makes_it_differ(self, machine: Sandbox) -> None:
        machine.ask(MACHINE + f"echo 'PresharedKey = {PRESHARED}' >>/etc/wireguard/wg0.conf\n")
        assert look(machine).config.keyless == f"{KEYLESS}PresharedKey = (hidden)\n"

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_other_interfaces_of_wireloom(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(MACHINE)
        for name in ("wg1", "wg2", "wg3"):
            machine.ask(f"echo fleet=store{name[-1]} >/var/lib/wireloom/{name}.state")
        machine.ask("echo \"PreUp = nft 'add table'\" >/etc/wireguard/wg1.conf; : >/etc/wireguard/wg2.conf")
        header = "# Written by wireloom for a, a node of the fleet new: change"
        machine.ask(
            f"cd /etc/wireguard; echo '{header}' >wg4.conf; echo '[Interface]' >wg5.conf; : >wg6.conf"
        )
        machine.ask("echo '# Written by wireloom' >/etc/wireguard/wg7.conf")
        machine.ask(
            "cd /etc/wireguard; cp wg0.conf wg0.bak.conf; ln -s wg0.conf wg8.conf; mkfifo wg9.conf 'a b.conf'"
        )
        machine.ask("for name in wg4 wg5 wg6 wg7 wg9; do ip link add $name type veth peer name $name-; done")
        expected = {
            "wg4": OtherFleet("new", guarded=False),
            "wg1": OtherFleet("store1", guarded=True),
            "wg2": OtherFleet("store2", guarded=False),
            "wg3": OtherFleet("store3", guarded=False),
        }
        assert expected == look(machine, shell=shell).others

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_where_the_operator_comes_from_is_told_also_behind_sudo(
        self, shell: tuple[str, ...], machine: Sandbox
    ) -> None:
        """Which has it in its own environment, and nothing of it in ours."""
        sudo = f"env -u SSH_CONNECTION {' '.join(shell)}; true"
        behind = ("env", "SSH_CONNECTION=203.0.113.9 40000 203.0.113.1 22", "sh", "-c", sudo)
        assert look(machine, shell=behind).client == ip_address("203.0.113.9")
        assert look(machine, shell=shell).client is None

    def test_nothing_of_a_foreign_file_is_told(self, machine: Sandbox) -> None:
        machine.ask(f"printf '[Interface]\\nPrivateKey = {OLD}\\n# mine\\n' >/etc/wireguard/wg0.conf")
        seen = look(machine).config
        assert (seen.kind, seen.keyless, seen.access, seen.has_key) == (
            ConfigKind.FOREIGN,
            "",
            Access(0o644),
            True,
        )

    def test_a_bare_machine(self, machine: Sandbox) -> None:
        seen = look(machine)
        assert (seen.config.kind, seen.key_kind, seen.link, seen.stamp) == (
            ConfigKind.ABSENT,
            KeyKind.ABSENT,
            None,
            None,
        )

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_another_key_in_our_file_is_told_as_its_public_key(
        self, shell: tuple[str, ...], machine: Sandbox
    ) -> None:
        machine.ask(f"{MACHINE}sed -i 's,^PrivateKey = .*,PrivateKey = {OLD},' /etc/wireguard/wg0.conf")
        other = machine.ask(f"echo {OLD} | wg pubkey")
        told = answer(machine, shell=shell)
        seen = parse_state(NodeName("a"), split_sections(told, "NONCE"))
        assert (seen.config.has_key, seen.config.public_key) == (True, PublicKey(other))
        assert (seen.public_key, seen.config.keyless) == (PUBLIC, KEYLESS)
        assert OLD not in told

    @pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_a_key_that_wg_refuses_is_not_shown(
        self, key: str, shell: tuple[str, ...], machine: Sandbox
    ) -> None:
        """`wg` says it in full: "Key is not the correct length or format: `…'"."""
        machine.ask(f"{MACHINE}sed -i 's,^PrivateKey = .*,PrivateKey = {key},' /etc/wireguard/wg0.conf")
        done = machine.sh(probe_script("wg0", "NONCE"), shell=shell)
        seen = parse_state(NodeName("a"), split_sections(done.stdout, "NONCE"))
        assert (seen.config.has_key, seen.config.public_key, seen.config.keyless) == (True, None, KEYLESS)
        assert OLD[:20] not in done.stdout + done.stderr

    def test_a_second_key_in_another_spelling_is_counted(self, machine: Sandbox) -> None:
        machine.ask(f"{MACHINE}sed -i '/^PrivateKey/a \\  privatekey={OLD}' /etc/wireguard/wg0.conf")
        seen = look(machine).config
        assert (seen.has_key, seen.keyless) == (False, KEYLESS)

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_links_that_lead_nowhere_are_somebodys(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask("cd /etc/wireguard; ln -s /mnt/vault/wg0.conf wg0.conf; ln -s /mnt/vault/wg0.key wg0.key")
        seen = look(machine, shell=shell)
        assert (seen.config.kind, seen.key_kind) == (ConfigKind.FOREIGN, KeyKind.BROKEN)

    def test_a_key_that_all_can_read(self, machine: Sandbox) -> None:
        machine.ask(f"echo {PRIVATE} >/etc/wireguard/wg0.key")
        seen = look(machine)
        assert (seen.key_kind, seen.public_key, seen.key_access) == (KeyKind.GOOD, PUBLIC, Access(0o644))

    def test_files_that_are_somebodys(self, machine: Sandbox) -> None:
        machine.ask(
            f"umask 077; cd /etc/wireguard; echo {PRIVATE} >wg0.key; : >wg0.conf; chown 1234 wg0.key wg0.conf"
        )
        seen = look(machine)
        assert (seen.key_access, seen.config.access) == (Access(0o600, 1234), Access(0o600, 1234))

    def test_the_mode_of_a_key_behind_a_link_is_the_keys(self, machine: Sandbox) -> None:
        machine.ask(f"umask 077; echo {PRIVATE} >/run/real.key; ln -s /run/real.key /etc/wireguard/wg0.key")
        assert look(machine).key_access == SECRET

    @pytest.mark.parametrize("content", ["", "x", PRIVATE[:-2]], ids=["empty", "garbage", "cut"])
    def test_a_broken_key(self, content: str, machine: Sandbox) -> None:
        machine.ask(f"printf '{content}' >/etc/wireguard/wg0.key")
        assert look(machine).key_kind is KeyKind.BROKEN

    def test_a_machine_without_os_release(self, machine: Sandbox) -> None:
        machine.ask("mount -t tmpfs etc /etc")
        assert look(machine).system.distribution == "unknown"

    def test_tools_are_found_beyond_a_short_path(self, machine: Sandbox) -> None:
        done = machine.sh("PATH=/usr/bin:/bin\n" + probe_script("wg0", "NONCE"))
        assert "ip" in split_sections(done.stdout, "NONCE")["tools"].split()

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_the_ground(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        ground = look(machine, shell=shell).ground
        assert ground.versions == {}
        assert {(disk.directory, disk.read_only, disk.free) for disk in ground.disks} == {
            ("/etc/wireguard", False, 1024**2),
            ("/var/lib", False, 1024**2),
        }
        assert (ground.net_admin, ground.tun, ground.port_holder) == (True, True, None)
        assert {(one.device, str(one.address)) for one in ground.addresses} == {
            ("lo", "127.0.0.1/8"),
            ("lo", "::1/128"),
        }

    def test_an_ip_that_prints_no_json_is_asked_what_it_is(self, machine: Sandbox) -> None:
        machine.ask(
            "mount -t tmpfs bin /usr/local/sbin; cat >/usr/local/sbin/ip <<'X'\n#!/bin/sh\n"
            'test "$1" != -V || echo "ip utility, iproute2-ss170501"\nX\nchmod 755 /usr/local/sbin/ip'
        )
        assert look(machine).ground.versions == {"ip": "ip utility, iproute2-ss170501"}

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_a_read_only_file_system(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask("mount -o remount,ro /var/lib")
        assert [disk.read_only for disk in look(machine, shell=shell).ground.disks] == [False, True]

    def test_the_disk_of_a_directory_that_is_not_there_is_that_above_it(self, machine: Sandbox) -> None:
        machine.ask("umount /etc/wireguard; mount -t tmpfs -o size=64k etc /etc")
        disk = look(machine).ground.disks[0]
        assert (disk.directory, disk.read_only, disk.free) == ("/etc/wireguard", False, 64 * 1024)

    def test_a_full_file_system(self, machine: Sandbox) -> None:
        machine.sh("cat /dev/zero >/etc/wireguard/big")
        assert [disk.free for disk in look(machine).ground.disks] == [0, 1024**2]

    @pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
    def test_a_port_that_a_process_has(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(
            f"setsid perl -e '{SQUATTER}' >/dev/null 2>&1 &"
            " until grep -q :01F4 /proc/net/udp; do sleep 0.02; done"
        )
        held = [look(machine, shell=shell, port=port).ground.port_holder for port in (500, 501, 51820)]
        assert str(held[0]).startswith("perl (process ")
        assert held[1:] == [None, None]

    def test_our_own_port(self, machine: Sandbox) -> None:
        machine.ask(MACHINE)
        assert look(machine).ground.port_holder == ""

    @pytest.mark.parametrize(
        "replacement",
        [
            "mount -t tmpfs dev /dev/net",
            "mount --bind /etc/hostname /dev/net/tun",
            "mount -t tmpfs -o nodev dev /dev/net; mknod /dev/net/tun c 10 200",
        ],
        ids=["not there", "something else", "forbidden"],
    )
    def test_no_device_for_tunnels(self, replacement: str, machine: Sandbox) -> None:
        machine.ask(replacement)
        assert not look(machine).ground.tun

    def test_a_root_without_capabilities(self, machine: Sandbox) -> None:
        shell = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "dash", "-s")
        assert not look(machine, shell=shell).ground.net_admin

    @pytest.mark.parametrize("content", ["", "uninitialized\n", "1234\n"], ids=["empty", "image", "short"])
    def test_a_machine_without_a_machine_id(self, content: str, machine: Sandbox) -> None:
        machine.ask(f"mount -t tmpfs etc /etc; printf '{content}' >/etc/machine-id; mkdir -p /etc/wireguard")
        assert look(machine).ground.identity == ""

    def test_a_machine_id_is_told_as_a_digest(self, machine: Sandbox) -> None:
        machine.ask(f"mount -t tmpfs etc /etc; echo {32 * 'a'} >/etc/machine-id; mkdir -p /etc/wireguard")
        digest = hashlib.sha256(f"wireloom\n{32 * 'a'}\n".encode()).hexdigest()
        assert look(machine).ground.identity == digest
        assert 32 * "a" not in answer(machine)

    def test_a_date_without_nanoseconds(self, machine: Sandbox) -> None:
        """BusyBox's prints them as they were asked for."""
        machine.ask(
            "mount -t tmpfs bin /usr/local/sbin; cat >/usr/local/sbin/date <<'X'\n#!/bin/sh\n"
            'test "$1" = +%s && echo 1700000000 || echo 1700000000.%N\nX\nchmod 755 /usr/local/sbin/date'
        )
        assert look(machine).system.clock == 1.7e9

    def test_looking_changes_nothing(self, machine: Sandbox) -> None:
        machine.ask(MACHINE)
        census = (
            "cd / && find etc/wireguard var/lib run -newer /etc/wireguard/census; ip -o address; wg show wg0"
        )
        machine.ask("sleep 0.02; : >/etc/wireguard/census; sleep 0.02")
        before = machine.ask(census)
        answer(machine)
        assert machine.ask(census) == before


def test_every_probe_has_its_own_name() -> None:
    assert len({probe.name for probe in PROBES}) == len(PROBES)


def test_the_names_of_files_are_quoted() -> None:
    assert "key='/etc/wireguard/a b.key'" in probe_script("a b", "NONCE")
