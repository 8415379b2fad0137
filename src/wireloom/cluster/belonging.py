"""Rules about whose the k3s on a machine is, and what else has been there."""

import re
from collections import Counter
from collections.abc import Iterator

from wireloom.cluster.places import AGENT_TOKEN, SERVER_TOKEN, SETTINGS, Role
from wireloom.cluster.seen import ClusterSeen, K3sSeen, Rival
from wireloom.cluster.standing import node_addresses
from wireloom.errors import Severity
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network
from wireloom.preflight.finding import Check, Finding
from wireloom.render.wg_quick import MARK

_MARKED = re.compile(rf"{MARK} for \S+, a node of the fleet (\S+):")

RIVALS = {
    Rival.KUBEADM: (
        "kubeadm has been here",
        "if nothing there is needed: kubeadm reset --force; rm -rf /etc/kubernetes /etc/cni/net.d"
        " /var/lib/kubelet /var/lib/etcd; systemctl disable --now kubelet; reboot",
    ),
    Rival.RKE2: ("RKE2 has been here", "if nothing there is needed: rke2-uninstall.sh"),
    Rival.MICROK8S: ("MicroK8s is here", "if nothing there is needed: snap remove --purge microk8s"),
    Rival.K0S: ("k0s has been here", "if nothing there is needed: k0s stop; k0s reset; reboot"),
    Rival.NETWORK: (
        "the interface of another pod network is here",
        "restart the machine; if it is there again, what makes it must go first",
    ),
}
"""What to say of a trace, and how it is cleaned away, with all that it held."""


def fleet_of(one: K3sSeen) -> str | None:
    """Whose k3s it is: the stamp's word, else that of the files' first lines; None: not wireloom's."""
    if one.stamp is not None:
        return one.stamp.fleet
    marks = (_MARKED.match(file.text) for file in one.files.values())
    return next((mark[1] for mark in marks if mark), None)


def choose_reference(fleet: Fleet, seen: ClusterSeen) -> K3sSeen | None:
    """The machine whose cluster is the fleet's: a server, before an agent; of the cluster that runs on most.

    A server that comes back after the others have begun anew is the one that is wrong.
    """
    found = [
        one
        for name in fleet.nodes
        if (one := seen.machine(name)) and one.cluster and fleet_of(one) == fleet.name
    ]
    runs = Counter(one.cluster for one in found if one.running)
    return min(
        found, key=lambda one: (one.ran is not Role.SERVER, -runs[one.cluster], not one.running), default=None
    )


def check_belonging(fleet: Fleet, network: Network, seen: ClusterSeen, one: K3sSeen) -> Iterator[Finding]:
    """All rules of this module about one machine. What is another's is judged no further."""
    yield from _check_leftovers(one)
    foreign = list(_check_owner(fleet, one))
    yield from foreign
    if foreign:
        return
    reference = choose_reference(fleet, seen)
    yield from _check_cluster(one, reference)
    yield from _check_tokens(one, reference)
    yield from _check_replaced(seen, one)
    yield from _check_addresses(fleet, network, seen, one)


def _check_leftovers(one: K3sSeen) -> Iterator[Finding]:
    for leftover in one.leftovers:
        if leftover.rival is Rival.SECOND:
            what = f"{leftover.at} is there beside the unit of k3s that counts"
            hint = f"there: systemctl disable --now {leftover.at}; rm /etc/systemd/system/{leftover.at}"
            yield Finding(one.name, Check.KUBERNETES, what, f"{hint}; systemctl daemon-reload")
        elif leftover.rival is Rival.DOCKER:
            what = "Docker runs here: k3s brings a containerd of its own, and both write firewall rules"
            hint = "if nothing needs it: systemctl disable --now docker.socket docker"
            if one.ran is None:
                yield Finding(one.name, Check.KUBERNETES, what, hint, Severity.WARNING)
        else:
            what, hint = RIVALS[leftover.rival]
            yield Finding(one.name, Check.KUBERNETES, f"{what} ({leftover.at})", hint)


def _check_owner(fleet: Fleet, one: K3sSeen) -> Iterator[Finding]:
    whose = fleet_of(one)
    if whose is None and (one.ran or one.role):
        script = "k3s-agent-uninstall.sh" if Role.AGENT in {one.ran, one.role} else "k3s-uninstall.sh"
        yield Finding(
            one.name,
            Check.CLUSTER,
            "a k3s is here that wireloom did not install, perhaps another cluster's",
            f"if nothing in it is needed: {script} there (docs.k3s.io/installation/uninstall); or take"
            " `roles` away from this node",
        )
    elif whose not in {None, fleet.name}:
        yield Finding(
            one.name,
            Check.CLUSTER,
            f"its k3s is that of the fleet `{whose}`, not of `{fleet.name}`",
            f"take it out there first, with that fleet's file: wireloom -f FILE k3s remove {one.name}",
        )
    elif SETTINGS in one.files and not one.files[SETTINGS].text:
        yield Finding(
            one.name,
            Check.CLUSTER,
            f"{SETTINGS} is not wireloom's and is never overwritten",
            f"move it to where k3s reads what is a machine's own: mkdir -p {SETTINGS}.d; mv {SETTINGS}"
            f" {SETTINGS}.d/own.yaml, and take out of it what wireloom sets",
        )


def _check_cluster(one: K3sSeen, reference: K3sSeen | None) -> Iterator[Finding]:
    """Two clusters can't be made one: the machine that is in the wrong one must forget it."""
    if reference is None or not one.cluster or one.cluster == reference.cluster:
        return
    yield Finding(
        one.name,
        Check.CLUSTER,
        f"it is in another cluster than {reference.name}: their CA certificates differ",
        "only one of the two can stay. If nothing in its cluster is needed:"
        f" wireloom k3s uninstall {one.name}; the next apply lets it join",
    )


def _check_tokens(one: K3sSeen, reference: K3sSeen | None) -> Iterator[Finding]:
    """A token that names its cluster's certificate is refused by every other (docs.k3s.io/cli/token)."""
    if reference is not None and one.ran is None and one.token_cas - {reference.cluster}:
        yield Finding(
            one.name,
            Check.CLUSTER,
            f"its join token is of another cluster than {reference.name}'s",
            f"there: rm -f {SERVER_TOKEN} {AGENT_TOKEN}; the next apply hands it the right one",
        )
    for path in sorted(one.open_tokens):
        what = f"not only root can read {path}"
        yield Finding(one.name, Check.CLUSTER, what, f"there: chmod 600 {path}", Severity.WARNING)


def _check_replaced(seen: ClusterSeen, one: K3sSeen) -> Iterator[Finding]:
    """A new machine under the name of one that the cluster still counts on.

    etcd refuses a second member of that name, and k3s a node that does not know its first password
    (/etc/rancher/node/password, docs.k3s.io/architecture).
    """
    member = seen.member(one.name)
    if member is None or one.ran is not None:
        return
    still = "a server" if member.server else "an agent"
    still = "an etcd member" if member.etcd_voter is not None else still
    yield Finding(
        one.name,
        Check.CLUSTER,
        f"the cluster has {still} of this name, and this machine has not been in it",
        f"take the old one out first: wireloom k3s remove {one.name}",
    )


def _check_addresses(fleet: Fleet, network: Network, seen: ClusterSeen, one: K3sSeen) -> Iterator[Finding]:
    """A machine that was renamed, or took over an address: etcd knows its members by theirs."""
    own = node_addresses(fleet, network, one.name)
    for other in (seen.members or {}).values():
        shared = [address for address in other.internal if address in own]
        if other.name != one.name and shared:
            yield Finding(
                one.name,
                Check.CLUSTER,
                f"the cluster has its address {shared[0]} as that of the node `{other.name}`",
                f"take that one out first: wireloom k3s remove {other.name}",
            )


def check_strangers(fleet: Fleet, seen: ClusterSeen) -> Iterator[Finding]:
    """Nodes of the cluster that the fleet file does not have, told by the server that told of them."""
    if seen.told_by is None:
        return
    wanted = {name for name, node in fleet.nodes.items() if node.roles}
    for name in sorted((seen.members or {}).keys() - wanted):
        yield Finding(
            seen.told_by,
            Check.CLUSTER,
            f"the cluster has a node `{name}` that has no role in the fleet file",
            f"take it out of the cluster: wireloom k3s remove {name}; or give it its role",
            Severity.WARNING,
        )


def is_ours(fleet: Fleet, one: K3sSeen) -> bool:
    """Whether k3s has run there, for this fleet."""
    return one.ran is not None and fleet_of(one) == fleet.name
