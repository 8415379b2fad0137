"""The state of the links in a picture: what the claims about the tunnels behind a line come to. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wireloom.network.network import Network
from wireloom.report.lines import LineKey
from wireloom.report.tally import Tally, tally
from wireloom.report.tunnels import Detail, Picture, Tunnel, Way, bundle_ends, find_tunnels
from wireloom.values import NodeName
from wireloom.verify.claim import KINDS, Claim, Evidence, Verdict, conclude

OF_FLANNEL = frozenset({"flannel-keys", "pod-way", "pod-canary"})
"""The claims that are about the tunnels of flannel, where it alone encrypts."""


@dataclass(frozen=True, slots=True)
class Links:
    """For every line of a picture the verdicts on its tunnels, one each: the worst of the claims about it.

    The tunnels inside a site, which bundles draw no line for, have that site as both ends. ``nodes`` are
    those that do not hold: by a claim about the node alone, because it could not be asked, or because most
    of its tunnels don't. ``total`` counts every tunnel once.
    """

    lines: Mapping[LineKey, Tally]
    nodes: Mapping[NodeName, Verdict]
    total: Tally


def judge_links(picture: Picture, evidence: Evidence) -> Links:
    """Picture and Evidence → the state of each line. A tunnel that no claim is about was not tested."""
    claimed: dict[frozenset[NodeName], set[Verdict]] = {}
    for claim in _about_tunnels(evidence, picture.network):
        if claim.target is not None:
            claimed.setdefault(frozenset((claim.source, claim.target)), set()).add(claim.verdict)
    lines: dict[LineKey, list[Verdict | None]] = {}
    nodes: dict[NodeName, list[Verdict | None]] = {}
    every: list[Verdict | None] = []
    for tunnel, keys in _lines_of_tunnels(picture):
        seen = claimed.get(frozenset((tunnel.near, tunnel.far)))
        verdict = conclude(seen) if seen else None
        every.append(verdict)
        for key in keys:
            lines.setdefault(key, []).append(verdict)
        for name in (tunnel.near, tunnel.far):
            nodes.setdefault(name, []).append(verdict)
    states = {key: tally(verdicts) for key, verdicts in lines.items()}
    return Links(states, _judge_nodes(picture.network, nodes, evidence), tally(every))


def _about_tunnels(evidence: Evidence, network: Network) -> Iterator[Claim]:
    """A cluster that ails on good tunnels is no fault of theirs, whoever makes them."""
    kinds = {name for name, kind in KINDS.items() if not kind.cluster} if network.under else OF_FLANNEL
    return (claim for claim in evidence.claims if claim.claim in kinds)


def _judge_nodes(
    network: Network, tunnels: Mapping[NodeName, list[Verdict | None]], evidence: Evidence
) -> dict[NodeName, Verdict]:
    """The nodes that do not hold. ``tunnels``: the verdicts on the tunnels of each."""
    found = {one.name: {Verdict.UNKNOWN} for one in evidence.unasked}
    for claim in _about_tunnels(evidence, network):
        if claim.target is None:
            found.setdefault(claim.source, set()).add(claim.verdict)
    for name, verdicts in tunnels.items():
        most = {one for one in Verdict if verdicts.count(one) * 2 > len(verdicts)}
        found.setdefault(name, set()).update(most)
    judged = {name: conclude(verdicts) for name, verdicts in found.items() if verdicts}
    return {name: verdict for name, verdict in judged.items() if verdict is not Verdict.HOLDS}


def _lines_of_tunnels(picture: Picture) -> Iterator[tuple[Tunnel, tuple[LineKey, ...]]]:
    """Every tunnel, and the lines that it is a part of: where sites have spokes, one at each end."""
    if picture.detail is Detail.TUNNELS:
        for tunnel in picture.tunnels:
            yield tunnel, ((tunnel.way, tunnel.near, tunnel.far),)
        return
    rank = {name: place for place, name in enumerate(picture.sites)}
    for tunnel in find_tunnels(picture.network, picture.sites):
        near, far = bundle_ends(tunnel, picture.network, rank)
        if near == far or picture.detail is Detail.SITE_PAIRS:
            yield tunnel, ((tunnel.way, near, far),)
        else:
            back = ("", far) if tunnel.way is Way.ONE_WAY else (far, "")
            yield tunnel, ((tunnel.way, near, ""), (tunnel.way, *back))
