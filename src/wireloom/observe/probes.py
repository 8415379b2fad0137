"""The probes: each a few lines of shell, and a pure parser of what they print.

All of them go to a node as one script. None prints a secret: private and preshared keys are cut
out on the node, by field for ``wg show dump`` (wg(8)) and by line for files.
"""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wireloom.observe.shell import read_functions
from wireloom.render.desired import config_path, key_path
from wireloom.render.unit import drop_in_path
from wireloom.render.wg_quick import GUARD_LINE, KEEPER, LOOSE, MARK

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the tools are looked for, as apply does: what sshd gives to a login may lack the sbin ones."""

RUNNING = read_functions("wireloom.observe", "running.sh")
"""The shell functions of the running state; ``$interface`` is the caller's."""

PEERS = "wg show \"$interface\" dump 2>/dev/null | normal_form whole | sed -n 's/^dump /peer /p'"
"""With RUNNING: ``peer LINE`` for each peer, of ``wg show dump`` with preshared keys hidden."""

LOOK = read_functions("wireloom.observe", "look.sh")
"""Shell functions that are only the probes'."""

STATE_DIRECTORY = "/var/lib/wireloom"
WORDS = "/run/wireloom/$if/guard"
"""The guard as the file loads it, one line, and below it nft's own words for it (see transaction.sh)."""

TUN = "/dev/net/tun"
WRITTEN = ("/etc/wireguard", "/var/lib")
"""Directories that must have room, or under which others are made."""

TOOLS = (
    *("wg", "wg-quick", "wireguard-go", "ip", "ping", "nft", "unshare", "flock", "awk", "sha256sum"),
    *("tcpdump", "perl", "apt-get", "dnf", "apk", "zypper"),
)


@dataclass(frozen=True, slots=True)
class Probe:
    """Shell that prints, and never fails the script. ``$if`` is the interface; functions are in look.sh."""

    name: str
    shell: str


PROBES = (
    Probe(
        "os",
        'read_release; read_kernel; printf "%s\n" "${release%%"$newline"*}" "$kernel"; show_clock',
    ),
    Probe("interface", 'echo "$if"'),
    Probe("systemd", "test -d /run/systemd/system && echo yes"),
    Probe("tools", f"for tool in {' '.join(TOOLS)}; do command -v $tool >/dev/null && echo $tool; done"),
    # Where the interface runs nobody asks; a container has no modules of its own.
    Probe(
        "module",
        "test -d /sys/module/wireguard"
        ' || { ! is_there && test -d "/lib/modules/${kernel%% *}" && modprobe -n wireguard; } && echo yes',
    ),
    Probe("key", "read_modes; show_key"),
    Probe("config", "show_config"),
    Probe("others", f"show_others {STATE_DIRECTORY}"),
    Probe("stamp", f"show {STATE_DIRECTORY}/$if.state"),
    Probe(
        "running",
        'list_guard; running=$(list_running whole); test -z "$running" || printf "%s\\n" "$running"',
    ),
    Probe("client", "show_client"),
    Probe("links", "ip -j -d -s address show"),
    Probe("keeper", f'show_keeper "{KEEPER.format(interface="$if")}"'),
    Probe(
        "filter",
        f'show_filter "{LOOSE.format(interface="all")}" "{LOOSE.format(interface="$if")}"'
        f' "{LOOSE.format(interface="default")}"',
    ),
    Probe("routes4", 'routes=$(show_routing -4); printf "%s\\n" "$routes"'),
    Probe("routes6", "show_routing -6"),
    Probe("guard", f'show_guard "{WORDS}"'),
    Probe("drop-in", 'test -e "$unit" && { echo; show "$unit"; }'),
    Probe(
        "enabled",
        "if test -d /run/systemd/system; then at=/etc/systemd/system;"
        ' for link in "$at"/*.wants/"wg-quick@$if.service" "$at"/*.requires/"wg-quick@$if.service"; do'
        ' test -L "$link" && test ! -L "$at/wg-quick@$if.service" && echo enabled && break; done;'
        f' else test -e {STATE_DIRECTORY}/boot/"$if" && echo enabled; fi',
    ),
    Probe("families", 'case $release in *"$newline"*) echo "${release#*"$newline"}" ;; esac'),
    # A digest: machine-id(5) asks not to show the number itself to others. Images have none, or a word.
    Probe(
        "identity",
        "read -r id </etc/machine-id; case $id in *[!0-9a-f]*) ;; ????????????????????????????????)"
        " printf 'wireloom\\n%s\\n' \"$id\" | sha256sum ;; esac",
    ),
    # Asked where it matters: an `ip` that prints routes as JSON is new enough.
    Probe("versions", "case $routes in '['*) ;; *) printf 'ip %s\\n' \"$(ip -V 2>&1)\" ;; esac"),
    Probe("capabilities", "show_status CapEff:"),
    # Opened only where the driver is there: to open it would load the driver.
    Probe("tun", f"test -c {TUN} && {{ ! test -e /sys/class/misc/tun || true <>{TUN}; }} && echo yes"),
    Probe("disks", f"show_disks {' '.join(WRITTEN)}"),
    Probe("port", "show_port $port $hex"),
)


def probe_script(interface: str, nonce: str, *, port: int = 51820) -> str:
    """One script that runs all probes; see ``run_probes``."""
    lines = [
        f"PATH={PATH} interface={shlex.quote(interface)}",
        RUNNING + LOOK,
        f"if={shlex.quote(interface)} key={shlex.quote(key_path(interface))}",
        f"conf={shlex.quote(config_path(interface))} unit={shlex.quote(drop_in_path(interface))}",
        f"mark={shlex.quote(MARK)} guard_line={shlex.quote(GUARD_LINE)} port={port} hex={port:04X}",
    ]
    return "\n".join([*lines, *run_probes(PROBES, nonce), ""])


def run_probes(probes: Iterable[Probe], nonce: str) -> Iterator[str]:
    """Lines of shell. ``nonce`` marks the lines between what the probes print: nothing else prints it.

    All is said at once: each bit would be a packet of its own, which sshd and we take longer for than the
    shell for a bit.
    """
    yield "probe_all() {"
    for probe in probes:
        yield f"echo; echo {nonce} {probe.name}"
        yield f"{{ {probe.shell}; }} 2>/dev/null"
    yield f"echo; echo {nonce} end"
    yield "}"
    yield 'answer=$(probe_all) && printf "%s\\n" "$answer"'


def split_sections(output: str, nonce: str) -> dict[str, str]:
    """What each probe printed. Raises ValueError where the end is missing: the output was cut."""
    sections: dict[str, str] = {}
    for part in f"\n{output}".split(f"\n{nonce} ")[1:]:
        name, _, text = part.partition("\n")
        sections[name] = text
    if "end" not in sections:
        raise ValueError("the answer was cut short")
    return sections
