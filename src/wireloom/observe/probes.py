"""The probes: each a few lines of shell, and a pure parser of what they print.

All of them go to a node as one script. None prints a secret: private and preshared keys are cut
out on the node, by field for ``wg show dump`` (wg(8)) and by line for files.
"""

import shlex
from dataclasses import dataclass

from wireloom.render.desired import config_path, key_path
from wireloom.render.guard import TABLE
from wireloom.render.unit import drop_in_path
from wireloom.render.wg_quick import GUARD_LINE, MARK

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the tools are looked for, as apply does: what sshd gives to a login may lack the sbin ones."""

STATE_DIRECTORY = "/var/lib/wireloom"
TOOLS = (
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
    "apt-get",
)


@dataclass(frozen=True, slots=True)
class Probe:
    """A piece of shell (``$if`` is the interface) that prints, and never fails the script."""

    name: str
    shell: str


PROBES = (
    # In a shell of its own: where the file is missing, `.` ends the shell (POSIX, special built-ins).
    Probe(
        "os",
        "(. /etc/os-release && printf '%s\\n' \"$PRETTY_NAME\") || echo unknown;"
        " uname -r; uname -m; date +%s.%N",
    ),
    Probe("systemd", "test -d /run/systemd/system && echo yes"),
    Probe("tools", f"for tool in {' '.join(TOOLS)}; do command -v $tool >/dev/null && echo $tool; done"),
    Probe("module", "test -d /sys/module/wireguard || modprobe -n wireguard && echo yes"),
    Probe("key", 'test -e "$key" && { stat -Lc %a "$key"; wg pubkey <"$key"; }'),
    # The line of the key is cut out. Another that holds one (commented out, or a preshared key) is not
    # wireloom's: it is told, without the key, so that the file is seen to differ.
    Probe(
        "config",
        'test -e "$conf" && { stat -Lc %a "$conf"; grep -c "^PrivateKey = ." "$conf"; head -n 1 "$conf" |'
        f' grep -q "^{MARK}" && {{ echo ours; sed -E "/^[[:space:]]*PrivateKey[[:space:]]*=/Id;'
        ' s/((Private|Preshared)Key[[:space:]]*=).*/\\1 (hidden)/I" "$conf"; } }',
    ),
    Probe(
        "others",
        f"for file in {STATE_DIRECTORY}/*.state; do other=${{file##*/}}; other=${{other%.state}};"
        ' test "$other" = "$if" || echo "$other $(sed -n s/^fleet=//p "$file")"; done',
    ),
    Probe("stamp", f"cat {STATE_DIRECTORY}/$if.state"),
    Probe("client", 'echo "${SSH_CONNECTION%% *}"'),
    Probe("link", 'ip -j -d address show dev "$if"'),
    Probe("wg", 'wg show "$if" public-key && wg show "$if" listen-port && wg show "$if" fwmark'),
    Probe("peers", 'wg show "$if" dump | tail -n +2 | cut -f 1,3-'),
    Probe("preshared", 'wg show "$if" preshared-keys | grep -v "(none)$" | cut -f 1'),
    Probe("routes4", "ip -j -4 route show"),
    Probe("routes6", "ip -j -6 route show"),
    # nft words a table its own way, another one in each version. So what the file would load is loaded in a
    # namespace that lasts for the moment, and nft's words for the two are compared.
    Probe(
        "guard",
        f"running=$(nft -s list table {TABLE}) && {{"
        f' filed=$(sed -n "s/^{GUARD_LINE}\\(.*\\)\'$/\\1/p" "$conf");'
        f' listed=$(unshare --net sh -c \'nft "$1" && nft -s list table {TABLE}\' sh "$filed");'
        ' if test "$running" = "$listed"; then echo as filed; else echo other; fi; }',
    ),
    Probe("drop-in", 'test -e "$unit" && { echo; cat "$unit"; }'),
    Probe(
        "enabled",
        'if test -d /run/systemd/system; then systemctl is-enabled "wg-quick@$if"; else'
        f' test -e {STATE_DIRECTORY}/boot/"$if" && echo enabled; fi',
    ),
)


def probe_script(interface: str, nonce: str) -> str:
    """One script that runs all probes. ``nonce`` marks the lines between them: nothing else prints it."""
    lines = [
        f"PATH={PATH}",
        f"if={shlex.quote(interface)} key={shlex.quote(key_path(interface))}",
        f"conf={shlex.quote(config_path(interface))} unit={shlex.quote(drop_in_path(interface))}",
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
