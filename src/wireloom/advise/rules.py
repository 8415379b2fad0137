"""The rules that choose a layer, and those that warn: data, each with the sources that say so."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from wireloom.advise import source
from wireloom.advise.choice import Layer
from wireloom.advise.facts import Facts, Mesh
from wireloom.advise.source import Source
from wireloom.values import FLANNEL_PORTS

PORTS = {"flannel": (51820, 51821), "calico": (51820, 51821), "cilium": (51871,)}
"""The UDP ports that each plugin's WireGuard listens on by itself, over IPv4 and IPv6."""

WIREGUARD_COST = 80
"""Bytes that flannel takes off for WireGuard: 40 of IPv6, 8 of UDP, 32 of WireGuard."""


class Effect(StrEnum):
    """What a rule that fires does to the answer."""

    UNDERLAY = "for underlay"
    CNI = "for cni"
    BOTH = "for both"
    AGAINST_CNI = "rules out cni"
    TIP = "leans to underlay"
    CAUTION = "caution"


@dataclass(frozen=True, slots=True)
class Rule:
    """``when`` says what was seen, as a sentence, or nothing: then the rule is silent.

    ``says`` is why that matters. A TIP decides only where no other rule does.
    """

    name: str
    effect: Effect
    when: Callable[[Facts], str | None]
    says: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule, and what it saw."""

    rule: Rule
    seen: str


def _no_cluster(facts: Facts) -> str | None:
    return None if facts.cluster else "no node has a role in Kubernetes, and the file has no `kubernetes:`"


def _public(facts: Facts) -> str | None:
    return facts.public.seen if facts.cluster and facts.public else None


def _apart(facts: Facts) -> str | None:
    return facts.apart.seen if facts.cluster and facts.apart else None


def _outside(facts: Facts) -> str | None:
    return facts.outside.seen if facts.cluster and facts.outside else None


def _independent(facts: Facts) -> str | None:
    return facts.independent.seen if facts.cluster and facts.independent else None


def _two_layers(facts: Facts) -> str | None:
    return facts.two_layers.seen if facts.cluster and facts.two_layers else None


def _fenced_in(facts: Facts) -> str | None:
    if not facts.cluster or facts.public or facts.apart or not (facts.nat and facts.egress_firewall):
        return None
    return f"one private network: {facts.nat.seen}, no public address, {facts.egress_firewall.seen}"


def _nat(facts: Facts) -> str | None:
    return facts.nat.seen if facts.choice.cni == "flannel" and facts.nat and facts.apart else None


def _servers_apart(facts: Facts) -> str | None:
    if facts.choice.cni != "flannel" or facts.external_datastore or not facts.servers_apart:
        return None
    return facts.servers_apart.seen


def _in_cluster(facts: Facts) -> str | None:
    return facts.cluster.seen if facts.cluster else None


def _mesh(mesh: Mesh) -> Callable[[Facts], str | None]:
    return lambda facts: f"mesh={mesh}" if facts.cluster and facts.mesh is mesh else None


def _etcd_over_tunnels(facts: Facts) -> str | None:
    if not facts.machines or facts.external_datastore or not facts.servers_apart:
        return None
    return facts.servers_apart.seen


def _external_datastore(facts: Facts) -> str | None:
    return "datastore: external" if facts.cluster and facts.external_datastore else None


def _external_ip_in_clear(facts: Facts) -> str | None:
    flannel_in_clear = facts.choice.cni == "flannel" and Layer.UNDERLAY in facts.considered
    return facts.flannel_external_ip.seen if flannel_in_clear and facts.flannel_external_ip else None


def _cloud_controller(facts: Facts) -> str | None:
    return facts.cloud_controller.seen if facts.machines and facts.cloud_controller else None


def _twice(facts: Facts) -> str | None:
    if Layer.BOTH not in facts.considered:
        return None
    mtu = f", and an MTU of {facts.mtu - WIREGUARD_COST} for pods" if facts.choice.cni == "flannel" else ""
    return f"two UDP ports to let in{mtu}"


def _same_port(facts: Facts) -> str | None:
    flannel_apart = facts.made and facts.choice.cni == "flannel"
    ports = FLANNEL_PORTS if flannel_apart else PORTS[facts.choice.cni]
    if Layer.BOTH not in facts.considered or facts.port not in ports:
        return None
    return f"underlay.port is {facts.port}, which is {facts.choice.cni}'s"


def _mtu(facts: Facts) -> str | None:
    if not (facts.cluster and facts.machines and facts.choice.cni == "flannel"):
        return None
    return f"the underlay's MTU is {facts.mtu}"


def _open_vxlan(facts: Facts) -> str | None:
    carried = facts.choice.cni == "flannel" and facts.choice.under(Layer.UNDERLAY).backend == "vxlan"
    if not (facts.cluster and carried and Layer.UNDERLAY in facts.considered):
        return None
    return f"underlay.guard is false, and {facts.public.seen}" if facts.public and not facts.guard else None


def _calico_hosts(facts: Facts) -> str | None:
    return "cni: calico, to encrypt by itself" if facts.choice.cni == "calico" and facts.plugin else None


RULES = (
    Rule(
        "no-kubernetes",
        Effect.UNDERLAY,
        _no_cluster,
        "there is no network plugin that could encrypt",
        (source.WIRELOOM,),
    ),
    Rule(
        "public-addresses",
        Effect.UNDERLAY,
        _public,
        "a network plugin encrypts what pods send each other; all else that nodes send each other crosses the"
        " internet as it is",
        (source.ARTICLE, source.K3S_7355),
    ),
    Rule(
        "several-sites",
        Effect.UNDERLAY,
        _apart,
        "clouds and data centres that meet over the internet: one encrypted network makes them one",
        (source.ARTICLE, source.K3S_MULTICLOUD),
    ),
    Rule(
        "outside-kubernetes",
        Effect.UNDERLAY,
        _outside,
        "a network plugin is on the cluster's nodes alone: to these hosts it sends in clear",
        (source.ARTICLE,),
    ),
    Rule(
        "own-failure-domain",
        Effect.UNDERLAY,
        _independent,
        "a network plugin needs a Kubernetes that is well; WireGuard on the machines does not",
        (source.ARTICLE,),
    ),
    Rule(
        "fenced-in",
        Effect.CNI,
        _fenced_in,
        "nobody from outside is on this network: the network plugin is enough, and simpler",
        (source.ARTICLE,),
    ),
    Rule(
        "two-layers",
        Effect.BOTH,
        _two_layers,
        "a stated reason to encrypt twice, and there is no other good one",
        (source.WIRELOOM,),
    ),
    Rule(
        "nat-without-address",
        Effect.AGAINST_CNI,
        _nat,
        "wireguard-native needs an address of every node, known and static, at which the others reach it",
        (source.K3S_9535, source.K3S_5717),
    ),
    Rule(
        "etcd-across-sites",
        Effect.AGAINST_CNI,
        _servers_apart,
        "across clouds k3s by itself does not support embedded etcd: all servers must reach each other by"
        " private addresses, which an underlay gives them",
        (source.K3S_MULTICLOUD,),
    ),
    Rule(
        "control-plane",
        Effect.TIP,
        _in_cluster,
        "under a network plugin the control plane has its own TLS and nothing else, and what nodes send has"
        " none; an underlay encrypts both",
        (source.ARTICLE, source.KUBERNETES, source.K3S_7355),
    ),
    Rule(
        "istio-strict",
        Effect.TIP,
        _mesh(Mesh.ISTIO_STRICT),
        "pods in the mesh encrypt to each other already: what is left is what nodes send, and other pods",
        (source.ARTICLE, source.ISTIO),
    ),
    Rule(
        "istio-permissive",
        Effect.CAUTION,
        _mesh(Mesh.ISTIO_PERMISSIVE),
        "PERMISSIVE takes plain text as well: it does not count as encryption, only STRICT does",
        (source.ISTIO,),
    ),
    Rule(
        "linkerd",
        Effect.CAUTION,
        _mesh(Mesh.LINKERD),
        "its mTLS is for TCP between pods in the mesh: UDP, and pods and nodes outside it, go in clear",
        (source.LINKERD,),
    ),
    Rule(
        "etcd-latency",
        Effect.CAUTION,
        _etcd_over_tunnels,
        "k3s warns of latency between servers: measure it first, or keep the servers in one site",
        (source.K3S_MULTICLOUD,),
    ),
    Rule(
        "external-datastore",
        Effect.CAUTION,
        _external_datastore,
        "what servers send to the database is encrypted if its host is a node of this fleet; if not, use TLS",
        (source.K3S_DATASTORE, source.WIRELOOM),
    ),
    Rule(
        "external-ip-in-clear",
        Effect.CAUTION,
        _external_ip_in_clear,
        "flannel would send to public addresses by a backend that does not encrypt, past the underlay: leave"
        " flannel-external-ip out",
        (source.K3S_6402, source.K3S_6440),
    ),
    Rule(
        "cloud-controller",
        Effect.CAUTION,
        _cloud_controller,
        "it knows machines by their node-ip, and an underlay address it does not know: run k3s without it, or"
        " see whether it can be told",
        (source.K3S_10032,),
    ),
    Rule(
        "twice",
        Effect.CAUTION,
        _twice,
        "every packet is encrypted twice, which wants a stated reason",
        (source.FLANNEL_CODE, source.K3S_REQUIREMENTS, source.WIRELOOM),
    ),
    Rule(
        "ports-apart",
        Effect.CAUTION,
        _same_port,
        "the plugin's own WireGuard listens there: give the underlay another port",
        (source.K3S_REQUIREMENTS, source.CALICO_9751, source.CILIUM),
    ),
    Rule(
        "mtu-first",
        Effect.CAUTION,
        _mtu,
        "flannel takes off its own from the interface's MTU when it starts: settle that before k3s runs",
        (source.FLANNEL_CODE,),
    ),
    Rule(
        "open-vxlan",
        Effect.CAUTION,
        _open_vxlan,
        "who reaches UDP 8472 is in the pods' network: leave the guard on, or close the port by a firewall",
        (source.K3S_REQUIREMENTS,),
    ),
    Rule(
        "calico-hosts",
        Effect.CAUTION,
        _calico_hosts,
        "leave wireguardHostEncryptionEnabled alone: to encrypt nodes is for EKS and AKS, and elsewhere it"
        " can lock the cluster up",
        (source.CALICO,),
    ),
    Rule(
        "keys-and-routes",
        Effect.TIP,
        _in_cluster,
        "keys and routes on machines are the work that a network plugin spares you: wireloom does it",
        (source.ARTICLE, source.WIRELOOM),
    ),
)
