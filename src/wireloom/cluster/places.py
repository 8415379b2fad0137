"""Where k3s keeps what on a machine."""

from enum import StrEnum

BINARY = "/usr/local/bin/k3s"
SETTINGS = "/etc/rancher/k3s/config.yaml"
"""What k3s reads before its arguments; what a machine's own people want beside it is in ``config.yaml.d``."""

FLANNEL_WIREGUARD = {4: "flannel-wg", 6: "flannel-wg-v6"}
"""The interfaces of flannel's own WireGuard, by the family of the pods (flannel, pkg/backend/wireguard)."""

FLANNEL_SETTINGS = "/etc/rancher/k3s/flannel.json"
DATASTORE_ENDPOINT = "/etc/rancher/k3s/datastore.env"
SERVER_TOKEN = "/etc/rancher/k3s/server-token"  # noqa: S105  # a path
AGENT_TOKEN = "/etc/rancher/k3s/agent-token"  # noqa: S105
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
DATA = "/var/lib/rancher/k3s"
IMAGES = f"{DATA}/agent/images"
STATE = "/var/lib/wireloom/k3s.note"
"""wireloom's note: whose machine it is, and what its cluster was begun with. ``.state`` is an interface's."""

RESTART_DUE = "/run/wireloom/k3s.restart"
"""There between the replacement of what k3s runs with and its restart; k3s.sh has it, too."""


class Role(StrEnum):
    """What a machine does in the cluster, as the fleet file says it."""

    SERVER = "k3s-server"
    AGENT = "k3s-agent"

    @property
    def service(self) -> str:
        """The unit, as k3s' own installer names it."""
        return "k3s" if self is Role.SERVER else "k3s-agent"

    @property
    def unit_path(self) -> str:
        """Where the unit's file is."""
        return f"/etc/systemd/system/{self.service}.service"
