"""The probes: each a few lines of shell, and a pure parser of what they print.

All of them go to a node as one script. None prints a secret: private and preshared keys are cut
out on the node, by field for ``wg show dump`` (wg(8)) and by line for files.
"""

import shlex
from dataclasses import dataclass

from wireloom.observe.shell import read_functions
from wireloom.render.desired import config_path, key_path
from wireloom.render.guard import TABLE
from wireloom.render.unit import drop_in_path
from wireloom.render.wg_quick import GUARD_LINE, KEEPER, MARK

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the tools are looked for, as apply does: what sshd gives to a login may lack the sbin ones."""

RUNNING = read_functions("wireloom.observe", "running.sh")
"""The shell function ``running``; ``$interface`` is the caller's."""

STATE_DIRECTORY = "/var/lib/wireloom"
KEY_LINE = "^[[:space:]]*PrivateKey[[:space:]]*="
ROUTING = "route show table all\\nrule show\\n"
WORDS = "/run/wireloom/$if/guard"
"""The guard as the file loads it, one line, and below it nft's own words for it (see transaction.sh)."""

TUN = "/dev/net/tun"
WRITTEN = ("/etc/wireguard", "/var/lib")
"""Directories that must have room, or under which others are made."""

TOOLS = (
    *(
        "wg",
        "wg-quick",
        "ip",
        "ping",
        "sha256sum",
        "flock",
        "wireguard-go",
        "nft",
        "unshare",
        "tcpdump",
        "perl",
    ),
    *("apt-get", "dnf", "apk", "zypper"),
)


@dataclass(frozen=True, slots=True)
class Probe:
    """Shell that prints, and never fails the script. ``$if`` is the interface, ``$port`` its port."""

    name: str
    shell: str


PROBES = (
    # In a shell of its own: where the file is missing, `.` ends the shell (POSIX, special built-ins).
    Probe(
        "os",
        "(. /etc/os-release && printf '%s\\n' \"$PRETTY_NAME\") || echo unknown;"
        # A date without nanoseconds (BusyBox) prints the %N as it is, or nothing.
        ' uname -rm; now=$(date +%s.%N); case $now in *[!0-9.]* | *.) date +%s ;; *) echo "$now" ;; esac',
    ),
    Probe("interface", 'echo "$if"'),
    Probe("systemd", "test -d /run/systemd/system && echo yes"),
    Probe("tools", f"for tool in {' '.join(TOOLS)}; do command -v $tool >/dev/null && echo $tool; done"),
    Probe("module", "test -d /sys/module/wireguard || modprobe -n wireguard && echo yes"),
    # A link that leads nowhere is somebody's: `test -e` alone takes it for nothing.
    Probe(
        "key",
        'if test -e "$key"; then stat -Lc %a "$key"; wg pubkey <"$key"; elif test -L "$key"; then echo 0; fi',
    ),
    # The line of the key is cut out, and told as its public key. A key that wg refuses it shows on stderr:
    # that goes nowhere. Another line that holds one (commented out, or a preshared key) is not wireloom's: it
    # is told, without the key, so that the file is seen to differ.
    Probe(
        "config",
        f'if test -e "$conf"; then stat -Lc %a "$conf"; grep -ciE "{KEY_LINE}" "$conf";'
        f' read -r first <"$conf"; case $first in "{MARK}"*) echo ours;'
        ' echo "$(sed -n "s/^PrivateKey = //p" "$conf" | wg pubkey)";'
        f' sed -E "/{KEY_LINE}/Id; s/((Private|Preshared)Key[[:space:]]*=).*/\\1 (hidden)/I" "$conf" ;; esac;'
        ' elif test -L "$conf"; then echo 0; echo 0; fi',
    ),
    Probe(
        "others",
        f"for file in {STATE_DIRECTORY}/*.state; do other=${{file##*/}}; other=${{other%.state}};"
        ' test "$other" = "$if" || echo "$other $(sed -n s/^fleet=//p "$file")"; done',
    ),
    Probe("stamp", f"cat {STATE_DIRECTORY}/$if.state"),
    Probe("running", "running"),
    Probe("client", 'echo "${SSH_CONNECTION%% *}"'),
    Probe("links", "ip -j -d -s address show"),
    Probe("dump", 'test -z "$dump" || printf "%s\\n" "$dump"'),
    # Not by `read`, which costs no process: dash's reads byte by byte, and /proc/sys gives it one.
    Probe("keeper", f'cat "{KEEPER.format(interface="$if")}"'),
    # One process each. A kernel without policy routing says nothing of rules.
    Probe("routes4", f"printf '{ROUTING}' | ip -j -4 -batch -"),
    Probe("routes6", f"printf '{ROUTING}' | ip -j -6 -batch -"),
    # nft words a table its own way, another one in each version. The last apply kept its words for what the
    # file loads; where there are none (a reboot), it is loaded in a namespace that lasts for the moment.
    Probe(
        "guard",
        f'test -z "$table" || {{ filed=$(sed -n "s/^{GUARD_LINE}\\(.*\\)\'$/\\1/p" "$conf");'
        f' if {{ read -r kept; }} <"{WORDS}" && test "$kept" = "$filed"; then listed=$(sed 1d "{WORDS}");'
        f' else listed=$(unshare --net sh -c \'nft "$1" && nft -s -t list table {TABLE}\' sh "$filed"); fi;'
        ' if test "$table" = "$listed"; then echo as filed; else echo other; fi; }',
    ),
    Probe("drop-in", 'test -e "$unit" && { echo; cat "$unit"; }'),
    Probe(
        "enabled",
        "if test -d /run/systemd/system; then at=/etc/systemd/system;"
        ' for link in "$at"/*.wants/"wg-quick@$if.service" "$at"/*.requires/"wg-quick@$if.service"; do'
        ' test -L "$link" && test ! -L "$at/wg-quick@$if.service" && echo enabled && break; done;'
        f' else test -e {STATE_DIRECTORY}/boot/"$if" && echo enabled; fi',
    ),
    Probe("families", '(. /etc/os-release && echo "$ID $ID_LIKE")'),
    # A digest: machine-id(5) asks not to show the number itself to others. Images have none, or a word.
    Probe(
        "identity",
        "read -r id </etc/machine-id; case $id in *[!0-9a-f]*) ;; ????????????????????????????????)"
        " printf 'wireloom\\n%s\\n' \"$id\" | sha256sum ;; esac",
    ),
    Probe("versions", "printf 'ip %s\\n' \"$(ip -V 2>&1)\"; printf 'wg %s\\n' \"$(wg --version)\""),
    Probe("capabilities", "grep '^CapEff:' /proc/self/status"),
    # Opened only where the driver is there: to open it would load the driver.
    Probe("tun", f"test -c {TUN} && {{ ! test -e /sys/class/misc/tun || (: <>{TUN}); }} && echo yes"),
    # rmdir of what is not there changes nothing, and says whether it would have been allowed to: BusyBox's
    # `test -w` lets root write anywhere.
    Probe(
        "disks",
        f"for directory in {' '.join(WRITTEN)}; do at=$directory;"
        ' until test -d "$at"; do at=${at%/*}; at=${at:-/}; done;'
        ' case $(rmdir "$at/.wireloom-none" 2>&1) in *Read-only*) how=ro ;; *) how=rw ;; esac;'
        ' echo "$directory $how $(stat -f -c \'%a %S %c %d\' "$at")"; done',
    ),
    Probe(
        "port",
        'grep -q "^ *[0-9]*: [0-9A-F]*$(printf \':%04X \' "$port")" /proc/net/udp /proc/net/udp6 &&'
        ' { echo taken; case $dump in *"=$tab$port$tab"*) ;; *) ss -Hanup "sport = :$port" ;; esac; }',
    ),
)


def probe_script(interface: str, nonce: str, *, port: int = 51820) -> str:
    """One script that runs all probes. ``nonce`` marks the lines between them: nothing else prints it."""
    lines = [
        f"PATH={PATH} interface={shlex.quote(interface)}",
        RUNNING,
        f"if={shlex.quote(interface)} key={shlex.quote(key_path(interface))}",
        f"conf={shlex.quote(config_path(interface))} unit={shlex.quote(drop_in_path(interface))} port={port}",
    ]
    for probe in PROBES:
        lines += [f"echo; echo {nonce} {probe.name}", f"{{ {probe.shell}; }} 2>/dev/null"]
    return "\n".join([*lines, f"echo; echo {nonce} end", ""])


def split_sections(output: str, nonce: str) -> dict[str, str]:
    """What each probe printed. Raises ValueError where the end is missing: the output was cut."""
    sections: dict[str, str] = {}
    for part in f"\n{output}".split(f"\n{nonce} ")[1:]:
        name, _, text = part.partition("\n")
        sections[name] = text
    if "end" not in sections:
        raise ValueError("the answer was cut short")
    return sections
