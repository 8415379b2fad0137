"""What wireloom adds to the unit wg-quick@ of systemd: a drop-in (systemd.unit(5))."""

from wireloom.network.network import Member
from wireloom.render.wg_quick import MARK

_RELOAD = """\
[Service]
# wg-quick's own reload takes a missing file for an empty one: every peer and the key would be gone.
ExecReload=
ExecReload=/bin/sh -ec 'umask 077; new=$$(mktemp /run/wireloom.XXXXXX); trap "rm -f $$new" EXIT; \\
    wg-quick strip %i >"$$new"; \\
    grep -q "^PrivateKey *= *." "$$new" || { echo "no PrivateKey in it, not reloaded" >&2; exit 1; }; \\
    wg syncconf %i "$$new"'
"""

_KEEP = """\

[Unit]
# k3s rides on this interface, and its pod network goes down with it. To stop it all the same, stop k3s first,
# then: wg-quick down %i
RefuseManualStop=yes
"""


def rides(drop_in: str) -> bool:
    """Whether a drop-in says that k3s rides on the interface."""
    return drop_in.endswith(_KEEP)


def drop_in_path(interface: str) -> str:
    """Where the drop-in is."""
    return f"/etc/systemd/system/wg-quick@{interface}.service.d/wireloom.conf"


_AFTER = """\

[Unit]
# What it leads over itself has its addresses there: it starts after that, and again with it.
After=wg-quick@{interface}.service
PartOf=wg-quick@{interface}.service
"""


def render_drop_in(member: Member, fleet: str, relieves: str | None = None) -> tuple[str, str]:
    """The text and its purpose: a safe reload and, on a machine of the cluster, no stop by hand.

    ``relieves``: the interface that this one stands in for, which comes first at boot.
    """
    head = f"{MARK} for {member.name}, a node of the fleet {fleet}.\n"
    if relieves is not None:
        return head + _RELOAD + _AFTER.format(interface=relieves), f"it starts after {relieves}"
    if member.roles:
        return head + _RELOAD + _KEEP, "a reload can't lose the key, no stop by hand: k3s rides on it"
    return head + _RELOAD, "a reload can't lose the key"
