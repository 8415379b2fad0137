"""The unit that runs k3s: one of wireloom's own, with what the installer of k3s writes (k3s, install.sh)."""

from wireloom.cluster.places import BINARY, Role

# Wants=, never Requires=: that would restart k3s whenever the interface's unit is restarted (measured), and
# k3s waits for its interface anyway: it is started again until it finds it.
_UNIT = """\
[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants={before}
After={before}

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
{environment}KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart={binary} {command}
"""


def render_unit(role: Role, interface: str | None, environment: str | None = None) -> str:
    """The unit's text; ``interface``: what wg-quick brings up and k3s rides on, None where nothing is.

    ``environment``: a file of variables without which k3s does not start.

    Pods outlive a stop of k3s (KillMode=process), and it makes cgroups of its own (Delegate=yes). A proxy for
    pulling images belongs into /etc/default/k3s, as with the installer.
    """
    before = ["network-online.target"]
    if interface is not None:
        before.append(f"wg-quick@{interface}.service")
    command = "server" if role is Role.SERVER else "agent"
    named = f"EnvironmentFile={environment}\n" if environment else ""
    return _UNIT.format(before=" ".join(before), environment=named, binary=BINARY, command=command)
