"""The probes of k3s: each a few lines of shell, all of them one script per machine.

None prints a secret: of token files no more than that they are there, of somebody else's files nothing.
"""

import shlex

from wireloom.cluster.places import (
    AGENT_TOKEN,
    BINARY,
    DATA,
    DATASTORE_ENDPOINT,
    FLANNEL_SETTINGS,
    RESTART_DUE,
    SERVER_TOKEN,
    SETTINGS,
    STATE,
    Role,
)
from wireloom.observe.probes import PATH, Probe, run_probes
from wireloom.observe.shell import read_functions
from wireloom.render.wg_quick import MARK
from wireloom.values import API_PORT, ETCD_PORTS, KUBELET_PORT

LOOK = read_functions("wireloom.cluster", "look.sh")

LOCAL_PORT = 6444
"""Where a server has the API by itself, and an agent the balancer in front of the servers."""

PORTS = (API_PORT, LOCAL_PORT, *ETCD_PORTS, KUBELET_PORT)
"""What k3s must have for itself, TCP."""

SHOWN = (SETTINGS, FLANNEL_SETTINGS, *(role.unit_path for role in Role))
SECRETS = (SERVER_TOKEN, AGENT_TOKEN, DATASTORE_ENDPOINT)
"""Files that are never shown: only whether they are there, and who may read them."""

DISTURBERS = ("firewalld.service", "nm-cloud-setup.timer")
"""Units that docs.k3s.io/installation/requirements warns of; ufw is told by its own file."""

_FLANNEL = r".metadata.annotations.flannel\.alpha\.coreos\.com"
_COLUMNS = (
    "{.metadata.name}",
    "{.spec.unschedulable}",
    '{range .status.addresses[*]}{.type}={.address}{" "}{end}',
    '{range .spec.podCIDRs[*]}{@}{" "}{end}',
    "{.status.nodeInfo.kubeletVersion}",
    r"{.metadata.labels.node-role\.kubernetes\.io/control-plane}",
    '{.status.conditions[?(@.type=="EtcdIsVoter")].status}',
    f"{{{_FLANNEL}/backend-type}}",
    f"{{{_FLANNEL}/backend-data}}",
    '{.status.conditions[?(@.type=="Ready")].status}',
    '{.status.conditions[?(@.type=="Ready")].reason}',
    '{.status.conditions[?(@.type=="Ready")].message}',
)
MEMBER_COLUMNS = "{range .items[*]}node" + "".join(f'{{"\\t"}}{one}' for one in _COLUMNS) + '{"\\n"}{end}'
"""What kubectl prints of each node (kubernetes.io/docs/reference/kubectl/jsonpath), fields parted by tabs.

All of a hundred nodes would be a megabyte, and most of it the names of images. The reason why a node is not
ready comes last: it is somebody's prose.
"""

PROBES = (
    Probe("machine", "uname -m; test ! -d /run/systemd/system || echo systemd"),
    Probe("version", 'test ! -x "$binary" || { echo there; timeout 10 "$binary" --version; }'),
    Probe("units", "show_units"),
    Probe("modes", "show_modes"),
    Probe("token-cas", "show_token_cas"),
    Probe("files", "show_files"),
    Probe("ran", "show_ran"),
    Probe("cluster", 'test -z "$ca" || sha256sum <"$ca"'),
    Probe("leftovers", "show_leftovers"),
    Probe("resources", "show_resources"),
    Probe("ports", f"show_ports {' '.join(f'{port:04X}' for port in PORTS)}"),
    Probe("kernel", "show_kernel"),
    Probe("ufw", "show_ufw"),
    Probe("members", "show_members"),
)


def probe_script(nonce: str) -> str:
    """One script that runs all probes; see ``run_probes``."""
    units = " ".join((*(f"{role.service}.service" for role in Role), *DISTURBERS))
    lines = [
        f"PATH={PATH} nonce={shlex.quote(nonce)} mark={shlex.quote(MARK)} binary={BINARY} data={DATA}",
        f"files='{' '.join((*SHOWN, STATE))}' secrets='{' '.join((*SECRETS, RESTART_DUE))}' units='{units}'",
        f"columns={shlex.quote(MEMBER_COLUMNS)}",
        LOOK,
    ]
    return "\n".join([*lines, *run_probes(PROBES, nonce), ""])
