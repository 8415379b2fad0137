"""Machines that have a firewall of their own, each another one, and the image that they start from."""

from dataclasses import dataclass

from tests.documents import find_blocks
from tests.machines.image import Recipe, find_recipe
from tests.machines.machine import Machine

PACKAGES = ("ufw", "firewalld", "conntrack")
FINISH = """\
set -eu
# Each machine enables its own. ufw's unit does nothing until `ufw enable`, as Debian has it.
systemctl --quiet disable firewalld nftables
rm -rf /etc/resolv.conf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
"""

PORT = 8080
"""A server that answers everybody listens there, and no firewall was told to let anybody in."""
SOCKET = f"""\
[Socket]
ListenStream={PORT}
Accept=yes
[Install]
WantedBy=sockets.target
"""
SERVICE = """\
[Service]
ExecStart=/bin/echo answered
StandardOutput=socket
"""

SLOW = """\
[Service]
ExecStartPre=/bin/sleep 2
"""
"""A firewall that takes its time at boot: what doesn't wait for it comes first."""

NFTABLES = """\
#!/usr/sbin/nft -f

flush ruleset

table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname "lo" accept
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport 22 accept
    }
}
"""
"""Like Debian's own /etc/nftables.conf it flushes the ruleset first. Unlike that one it closes ports."""

UFW_DOCS, FIREWALLD_DOCS, OWN_TABLE, LOAD_GUARD = find_blocks("files-on-a-node.md", "Beside another firewall")


@dataclass(frozen=True, slots=True)
class Firewall:
    """A unit, and scripts: let nothing but SSH in, let the mesh in, too, close WireGuard's port again."""

    unit: str
    start: str
    let_in: str
    close: str


FIREWALLS = {
    "ufw": Firewall("ufw", "ufw allow 22/tcp && ufw --force enable", UFW_DOCS, "ufw delete allow 51820/udp"),
    "firewalld": Firewall(
        "firewalld",
        "systemctl enable --now firewalld",  # its default zone lets SSH in
        FIREWALLD_DOCS,
        "firewall-cmd --remove-port=51820/udp",
    ),
    "nftables": Firewall(
        "nftables",
        f"cat >/etc/nftables.conf <<'END'\n{NFTABLES}END\nsystemctl enable --now nftables",
        "grep -q 51820 /etc/nftables.conf ||"
        """ sed -i '/tcp dport 22/i udp dport 51820 accept; iifname "wg0" accept' /etc/nftables.conf &&"""
        " systemctl reload nftables",
        "nft delete rule inet filter input handle $(nft -a list chain inet filter input"
        " | sed -n 's/.*51820.* handle //p')",
    ),
}
"""By the name of the machine that has it."""


def find_firewalls_recipe() -> Recipe:
    """The image of the other machines with firewalls in it, none of them enabled."""
    base = find_recipe()
    return Recipe(base.suite, PACKAGES, FINISH, base=base)


def add_server(machine: Machine) -> None:
    """A server on PORT, now and after a reboot."""
    machine.write("/etc/systemd/system/hole.socket", SOCKET)
    machine.write("/etc/systemd/system/hole@.service", SERVICE)
    machine.run("systemctl", "--quiet", "enable", "--now", "hole.socket")


def is_answered(machine: Machine, address: str) -> bool:
    """Whether the server at that address answers a machine."""
    said = machine.run("timeout", "1", "bash", "-c", 'cat <"/dev/tcp/$0/$1"', address, str(PORT), expect=None)
    return said == "answered\n"


def is_heard(machine: Machine, address: str) -> bool:
    """Whether a ping of a machine is answered from there."""
    return "1 received" in machine.run("ping", "-c", "1", "-W", "1", address, expect=None)


def read_guard(machine: Machine) -> str:
    """The guard's rules without their counters; empty where there is no guard."""
    return machine.shell("nft -s list table inet wireloom 2>/dev/null", expect=None)
