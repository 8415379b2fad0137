"""Rules about what k3s needs of a machine (docs.k3s.io/installation/requirements).

What runs disproves most of them: they are for machines where k3s does not run yet.
"""

from collections.abc import Iterator

from wireloom.cluster.places import Role
from wireloom.cluster.probe import LOCAL_PORT
from wireloom.cluster.release import ASSETS
from wireloom.cluster.seen import K3sSeen
from wireloom.errors import Severity
from wireloom.intent.fleet import Kubernetes
from wireloom.intent.releases import parse_version
from wireloom.network.network import Network
from wireloom.preflight.finding import Check, Finding
from wireloom.values import API_PORT, ETCD_PORTS, FLANNEL_OWN_PORTS, KUBELET_PORT

CONTROLLERS = {2: ("cpu", "cpuset", "memory", "pids"), 1: ("cpu", "cpuacct", "cpuset", "memory", "pids")}
"""Without one of these k3s or its kubelet ends at once (k3s pkg/cgroups, kubelet's container manager)."""

NO_CGROUP_V1 = (1, 35)
"""The first Kubernetes whose kubelet refuses cgroup v1 unless told otherwise (KEP 5573)."""

ENOUGH = {Role.SERVER: 2_000_000_000, Role.AGENT: 512_000_000}
"""Bytes of memory that k3s asks for, without the pods."""

KEPT_BACK = 0.9
"""Of the memory that a machine was sold with the kernel tells of about this much."""

ZONE = "firewall-cmd --permanent --zone=trusted"

MODULES = ("overlay", "bridge", "br_netfilter")
BACKEND_MODULES = {"vxlan": "vxlan", "wireguard-native": "wireguard"}


def check_ground(kubernetes: Kubernetes, network: Network, role: Role, one: K3sSeen) -> Iterator[Finding]:
    """All rules of this module; without systemd or a release for it nothing else matters."""
    if not one.systemd:
        what = "k3s is run by systemd, and this machine has none: not supported yet"
        alone = (
            "there is nothing to try of this fleet"
            if kubernetes.encrypt == "cni"
            else "without `version` it tries the network alone"
        )
        hint = (
            "take `roles` away from this node, or give it a distribution with systemd;"
            f" a lab has none: {alone}"
        )
        yield Finding(one.name, Check.SYSTEM, what, hint)
        return
    if one.architecture not in ASSETS:
        what = f"k3s has no release for {one.architecture or 'this architecture'}"
        hint = f"take `roles` away from this node; there are releases for {', '.join(ASSETS)}"
        yield Finding(one.name, Check.SYSTEM, what, hint)
        return
    if one.running:
        return
    yield from _check_cgroups(kubernetes, one)
    yield from _check_memory(role, one)
    yield from _check_kernel(kubernetes, one)
    yield from _check_ports(kubernetes, role, one)
    if one.ran is None:
        yield from _check_disturbers(kubernetes, network, role, one)


def _check_cgroups(kubernetes: Kubernetes, one: K3sSeen) -> Iterator[Finding]:
    """What the kernel has and the machine has not, somebody withholds; whether k3s minds, it says itself."""
    missing = [name for name in CONTROLLERS[one.cgroup] if name not in one.controllers]
    disabled = [name for name in missing if name not in one.withheld]
    withheld = [name for name in missing if name in one.withheld]
    if disabled:
        what = f"the cgroup controllers {', '.join(disabled)} are not enabled"
        yield Finding(one.name, Check.CGROUP, what, _advise_controllers(one, disabled))
    if withheld:
        yield Finding(
            one.name,
            Check.CGROUP,
            f"the cgroup controllers {', '.join(withheld)} are not at the root of this machine's cgroups",
            "a container must be given them by its host (Delegate=yes), a host take them from cgroup v1:"
            " systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
            Severity.WARNING,
        )
    version = parse_version(kubernetes.version or "")
    if one.cgroup == 1 and version is not None and version >= NO_CGROUP_V1:
        yield Finding(
            one.name,
            Check.CGROUP,
            f"it has cgroup v1, which the kubelet of {kubernetes.version} refuses",
            "boot it with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
            " (/etc/default/grub, then update-grub; reboot), or stay with a v1.34",
        )


def _advise_controllers(one: K3sSeen, missing: list[str]) -> str:
    words = " ".join(
        {"memory": "cgroup_enable=memory cgroup_memory=1", "cpuset": "cgroup_enable=cpuset"}[name]
        for name in missing
        if name in {"memory", "cpuset"}
    )
    if not words:
        return "another kernel has them: those of all distributions do"
    if one.architecture == "x86_64":
        return f"add {words} to GRUB_CMDLINE_LINUX in /etc/default/grub there; update-grub; reboot"
    return (
        f"append {words} to the one line of /boot/firmware/cmdline.txt there (older Raspberry Pi OS:"
        " /boot/cmdline.txt); reboot"
    )


def _check_memory(role: Role, one: K3sSeen) -> Iterator[Finding]:
    enough = ENOUGH[role]
    if one.memory < enough * KEPT_BACK:
        severity = Severity.ERROR if one.memory < enough * KEPT_BACK / 2 else Severity.WARNING
        what = f"{one.memory // 10**6} MB of memory: a {role} wants {enough // 10**6}, without its pods"
        yield Finding(one.name, Check.MEMORY, what, "give it more, or another role", severity)
    if one.swap:
        yield Finding(
            one.name,
            Check.MEMORY,
            f"{one.swap // 10**6} MB of swap: k3s starts all the same, and pods slow down before they are"
            " moved elsewhere",
            "there: swapoff -a, and take the line out of /etc/fstab",
            Severity.WARNING,
        )


def _check_kernel(kubernetes: Kubernetes, one: K3sSeen) -> Iterator[Finding]:
    backend = BACKEND_MODULES.get(kubernetes.flannel_backend or "")
    wanted = (*MODULES, *([backend] if backend else []))
    missing = [name for name in wanted if one.kernel is not None and name not in one.kernel]
    if missing:
        yield Finding(
            one.name,
            Check.KERNEL,
            f"its kernel lacks {', '.join(missing)}",
            f"there: modprobe -a {' '.join(missing)} says why; Ubuntu has some of them in"
            " linux-modules-extra-$(uname -r)",
        )


def _check_ports(kubernetes: Kubernetes, role: Role, one: K3sSeen) -> Iterator[Finding]:
    for port in (LOCAL_PORT, *_heard_ports(kubernetes, role)):
        holder = one.holders.get(port)
        # What is left of a k3s of its own that ended badly is that one's business.
        if holder is not None and not (one.ran and holder.startswith("k3s")):
            what = f"TCP port {port} is taken by {holder or 'somebody'}"
            yield Finding(
                one.name, Check.PORT, what, f"stop that there: ss -ltnp 'sport = :{port}' says who it is"
            )


def _heard_ports(kubernetes: Kubernetes, role: Role) -> tuple[int, ...]:
    """The TCP ports at which the cluster's other machines reach one."""
    etcd = ETCD_PORTS if kubernetes.datastore == "embedded" else ()
    return (API_PORT, *etcd, KUBELET_PORT) if role is Role.SERVER else (KUBELET_PORT,)


def _let_in(kubernetes: Kubernetes, network: Network, role: Role) -> tuple[list[str], list[str]]:
    """What lets other machines in, for firewalld and for ufw: the interface; ports, where there is none."""
    if kubernetes.encrypt != "cni":
        interface = network.interface
        return [f"{ZONE} --add-interface={interface}"], [f"ufw allow in on {interface}"]
    doors = [
        *(f"{FLANNEL_OWN_PORTS[one.version]}/udp" for one in kubernetes.pods),
        *(f"{port}/tcp" for port in _heard_ports(kubernetes, role)),
    ]
    opened = " ".join(f"--add-port={one}" for one in doors)
    return [f"firewall-cmd --permanent {opened}", ZONE], [f"ufw allow {one}" for one in doors]


def _check_disturbers(
    kubernetes: Kubernetes, network: Network, role: Role, one: K3sSeen
) -> Iterator[Finding]:
    firewalld, ufw = _let_in(kubernetes, network, role)
    ranges = [str(prefix) for prefix in (*kubernetes.pods, *kubernetes.services)]
    if "firewalld" in one.disturbers:
        sources = " ".join(f"--add-source={prefix}" for prefix in ranges)
        yield Finding(
            one.name,
            Check.FIREWALL,
            "firewalld is on, and keeps pods and nodes apart unless told otherwise",
            f"there: {'; '.join(firewalld)} {sources}; firewall-cmd --reload; or:"
            " systemctl disable --now firewalld",
            Severity.WARNING,
        )
    if "ufw" in one.disturbers:
        rules = "; ".join([*ufw, *(f"ufw allow from {prefix}" for prefix in ranges)])
        yield Finding(
            one.name,
            Check.FIREWALL,
            "ufw is on, and keeps pods and nodes apart unless told otherwise",
            f"there: {rules}; or: ufw disable",
            Severity.WARNING,
        )
    if "nm-cloud-setup" in one.disturbers:
        yield Finding(
            one.name,
            Check.FIREWALL,
            "nm-cloud-setup is on: it takes the routes of pods away",
            "there: systemctl disable nm-cloud-setup.service nm-cloud-setup.timer; reboot",
        )
