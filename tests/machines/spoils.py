"""What is wrong with machines in real life, done to a test machine and taken back."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.machines.machine import Machine

LATE = "#!/bin/sh\nexec /usr/bin/date -d '1 hour ago' \"$@\"\n"
SQUATTER = (
    "use IO::Socket::INET; $s = IO::Socket::INET->new(Proto => 'udp', LocalPort => 51820) or die; sleep"
)
CAPLESS = "[Service]\nCapabilityBoundingSet=~CAP_NET_ADMIN\n"


@contextmanager
def hidden(machine: Machine, path: str) -> Iterator[None]:
    """A file is not there."""
    machine.run("mv", path, f"{path}.hidden")
    try:
        yield
    finally:
        machine.run("mv", f"{path}.hidden", path)


@contextmanager
def mounted(machine: Machine, place: str, *words: str) -> Iterator[None]:
    """Something else is mounted over a directory."""
    machine.run("mkdir", "-p", place)
    machine.run("mount", *words, place)
    try:
        yield
    finally:
        machine.run("umount", place)


@contextmanager
def late_clock(machine: Machine) -> Iterator[None]:
    """Its clock goes an hour behind. All machines here share one clock, so only what `date` says of it."""
    machine.write("/usr/local/sbin/date", LATE)
    machine.run("chmod", "755", "/usr/local/sbin/date")
    try:
        yield
    finally:
        machine.run("rm", "/usr/local/sbin/date")


@contextmanager
def taken_port(machine: Machine) -> Iterator[None]:
    """A process has the UDP port."""
    machine.run("systemd-run", "--quiet", "--unit=squatter", "perl", "-e", SQUATTER)
    machine.shell("until ss -Hanu 'sport = :51820' | grep -q .; do sleep 0.05; done")
    try:
        yield
    finally:
        machine.run("systemctl", "stop", "squatter")


@contextmanager
def foreign_interface(machine: Machine) -> Iterator[None]:
    """Another interface has an address of the underlay's range."""
    machine.shell("ip link add vpn0 type veth peer name vpn1")
    machine.shell("ip address add 10.99.7.7/24 dev vpn0 && ip link set vpn0 up")
    try:
        yield
    finally:
        machine.shell("ip link delete vpn0")


@contextmanager
def foreign_route(machine: Machine) -> Iterator[None]:
    """A route leads into the underlay's range, past the interface."""
    machine.shell("ip route add 10.99.3.0/24 via 203.0.113.254")
    try:
        yield
    finally:
        machine.shell("ip route delete 10.99.3.0/24")


@contextmanager
def foreign_rule(machine: Machine) -> Iterator[None]:
    """A rule before the main table leads the underlay's range to another table."""
    machine.shell(
        "ip route add 10.99.0.0/16 via 203.0.113.254 table 100 && ip rule add priority 99 lookup 100"
    )
    try:
        yield
    finally:
        machine.shell("ip rule delete priority 99; ip route flush table 100")


@contextmanager
def no_tun(machine: Machine) -> Iterator[None]:
    """A container that was started without the device."""
    with mounted(machine, "/dev/net", "-t", "tmpfs", "none"):
        yield


@contextmanager
def full_disk(machine: Machine) -> Iterator[None]:
    """No room for the configuration."""
    with mounted(machine, "/etc/wireguard", "-t", "tmpfs", "-o", "size=64k", "none"):
        yield


@contextmanager
def read_only_disk(machine: Machine) -> Iterator[None]:
    """A file system that was mounted read-only, or became so after an error of the disk."""
    with mounted(machine, "/var/lib", "--bind", "/var/lib"):
        machine.run("mount", "-o", "remount,bind,ro", "/var/lib")
        yield


@contextmanager
def no_capability(machine: Machine) -> Iterator[None]:
    """Whoever logs in may not change the network, as root neither."""
    machine.write("/etc/systemd/system/ssh.service.d/capless.conf", CAPLESS)
    _restart_ssh(machine)
    try:
        yield
    finally:
        machine.run("rm", "/etc/systemd/system/ssh.service.d/capless.conf")
        _restart_ssh(machine)


@contextmanager
def copied(machine: Machine, original: Machine, path: str) -> Iterator[None]:
    """A file of another machine, as in a clone of it."""
    own = machine.run("cat", path)
    machine.write(path, original.run("cat", path))
    try:
        yield
    finally:
        machine.write(path, own)


@contextmanager
def copied_host_key(machine: Machine, original: Machine) -> Iterator[None]:
    """The same SSH host key on two machines."""
    key = "/etc/ssh/ssh_host_ed25519_key"
    with copied(machine, original, key), copied(machine, original, f"{key}.pub"):
        _restart_ssh(machine)
        yield
    _restart_ssh(machine)


@contextmanager
def another_distribution(machine: Machine, release: str) -> Iterator[None]:
    """What os-release(5) says of it."""
    own = machine.run("cat", "/etc/os-release")
    machine.write("/usr/lib/os-release", release)
    try:
        yield
    finally:
        machine.write("/usr/lib/os-release", own)


def _restart_ssh(machine: Machine) -> None:
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "ssh")
