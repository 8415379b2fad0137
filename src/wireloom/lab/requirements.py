"""What a computer must have for labs: root, a handful of commands, and WireGuard of one kind."""

import os
import shutil
import subprocess
from pathlib import Path

from wireloom.errors import Diagnostic, UserError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where labs look for commands: the operator's own PATH may lack the ``sbin`` directories."""

PACKAGES = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "wg": "wireguard-tools",
    "wg-quick": "wireguard-tools",
    "nft": "nftables",
    "ping": "iputils-ping",
}
"""The commands that a lab runs, and the Debian package of each."""

TUN = Path("/dev/net/tun")


def require_root() -> None:
    """Raise UserError when this is not root, saying why it must be."""
    if os.geteuid() != 0:
        raise UserError.one(
            "a lab needs root",
            hint="it is made of network namespaces, mounts and WireGuard interfaces: run this with sudo",
        )


def require_everything() -> None:
    """Raise one UserError that names all that is missing for a lab on this computer."""
    require_root()
    missing = [command for command in PACKAGES if shutil.which(command, path=PATH) is None]
    diagnostics = [_missing(missing)] if missing else []
    if "ip" not in missing and "unshare" not in missing:
        diagnostics += _wireguard()
    if diagnostics:
        raise UserError(diagnostics)


def _missing(commands: list[str]) -> Diagnostic:
    packages = sorted({PACKAGES[command] for command in commands})
    return Diagnostic(
        f"commands that a lab needs are missing: {', '.join(commands)}",
        hint=f"apt-get install --no-install-recommends {' '.join(packages)}",
    )


def _wireguard() -> list[Diagnostic]:
    """What stands between this computer and a WireGuard interface: in the kernel, or as a program."""
    # The interface is made in a network namespace that goes away with the command.
    probe = ["unshare", "--net", "ip", "link", "add", "wireloom", "type", "wireguard"]
    try:
        tried = subprocess.run(probe, env={"PATH": PATH}, capture_output=True, timeout=10, check=False)
        if tried.returncode == 0:
            return []
    except subprocess.TimeoutExpired:
        pass
    problem = "this kernel has no WireGuard"
    found = []
    if shutil.which("wireguard-go", path=PATH) is None:
        found.append(
            Diagnostic(
                f"{problem}, and wireguard-go, which does without, is not installed",
                hint="apt-get install --no-install-recommends wireguard-go",
            )
        )
    if not TUN.exists():
        found.append(
            Diagnostic(
                f"{problem}, and {TUN}, which wireguard-go needs, does not exist",
                hint=f"modprobe tun; mkdir -p {TUN.parent}; mknod {TUN} c 10 200"
                " (in a container, start it with --device /dev/net/tun)",
            )
        )
    return found
