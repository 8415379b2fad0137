"""The answer: which layer to use, why, what it leaves alone, what it costs, and what would change it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wireloom.advise import source
from wireloom.advise.assumption import ASSUMPTIONS, Assumption
from wireloom.advise.choice import Choice, Layer
from wireloom.advise.coverage import cover, unencrypted
from wireloom.advise.facts import Facts
from wireloom.advise.matrix import Cell, Note
from wireloom.advise.rules import RULES, WIREGUARD_COST, Effect, Fired
from wireloom.advise.source import Source
from wireloom.advise.traffic import TrafficClass

ETHERNET = 1500
VXLAN_COST = 50
"""Bytes of IPv4, UDP, VXLAN and the inner Ethernet header, which flannel takes off."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way to use a layer costs: the MTU of pods in bytes (None: not known), and the rest in words."""

    layer: Layer
    way: str
    mtu: int | None
    says: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """What WireGuard leaves alone under a layer, or encrypts only under conditions.

    ``provided``: what all the rest depends on. ``remarks``: how well the matrix fits the fleet.
    """

    layer: Layer
    classes: tuple[tuple[TrafficClass, Cell], ...]
    provided: tuple[Note, ...]
    remarks: tuple[Note, ...]

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every note that is told with it."""
        return (*(note for _, cell in self.classes for note in cell.notes), *self.provided, *self.remarks)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that, were it otherwise, would change the answer."""

    assumption: Assumption
    value: str
    recommended: Layer


@dataclass(frozen=True, slots=True)
class Advice:
    """``recommended``, the rules that fired in the order of their table, and what else one wants to know."""

    facts: Facts
    recommended: Layer
    fired: tuple[Fired, ...]
    left: tuple[Left, ...]
    costs: tuple[Cost, ...]
    changes: tuple[Change, ...]

    @property
    def reasons(self) -> tuple[Fired, ...]:
        """The rules that speak for a layer or against one."""
        return tuple(one for one in self.fired if one.rule.effect is not Effect.CAUTION)

    @property
    def cautions(self) -> tuple[Fired, ...]:
        """What to look out for."""
        return tuple(one for one in self.fired if one.rule.effect is Effect.CAUTION)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source, once, in the order in which a reader meets it."""
        of_rules = (one for fired in (*self.reasons, *self.cautions) for one in fired.rule.sources)
        of_left = (one for left in self.left for note in left.notes for one in note.sources)
        of_costs = (one for cost in self.costs for one in cost.sources)
        return tuple(dict.fromkeys((*of_rules, *of_left, *of_costs)))

    @property
    def agrees(self) -> bool:
        """The fleet has chosen what is recommended."""
        return self.facts.choice.layer is self.recommended


def advise(facts: Facts) -> Advice:
    """The advice for a fleet."""
    recommended = recommend(facts)
    considered = replace(facts, considered=frozenset({facts.choice.layer, recommended}))
    return Advice(
        considered,
        recommended,
        tuple(fire(considered)),
        tuple(_left(facts)),
        tuple(_costs(facts)) if facts.cluster else (),
        tuple(_changes(facts, recommended)),
    )


def fire(facts: Facts) -> Iterator[Fired]:
    """The rules that see something."""
    for rule in RULES:
        seen = rule.when(facts)
        if seen is not None:
            yield Fired(rule, seen)


def recommend(facts: Facts) -> Layer:
    """The layer that the rules come to.

    Two if two are demanded. A network plugin where something speaks for it and nothing against it. Otherwise
    the machines, which encrypt more. Cautions have no say.
    """
    effects = {one.rule.effect for one in fire(facts)}
    if Effect.BOTH in effects:
        return Layer.BOTH
    if Effect.CNI in effects and not effects & {Effect.UNDERLAY, Effect.AGAINST_CNI}:
        return Layer.CNI
    return Layer.UNDERLAY


def _left(facts: Facts) -> Iterator[Left]:
    """For each layer, by the same matrix that `coverage` shows."""
    for layer in Layer if facts.cluster else (Layer.UNDERLAY,):
        coverage = cover(facts.choice.under(layer), {}, cluster=bool(facts.cluster))
        of_columns = (note for column in coverage.columns for note in column.notes)
        provided = tuple(dict.fromkeys(of_columns)) if facts.cluster else ()
        yield Left(layer, tuple(unencrypted(coverage)), provided, coverage.remarks)


def _costs(facts: Facts) -> Iterator[Cost]:
    """By layer; figures are for flannel, and for the underlay's MTU as it is."""
    flannel = (source.FLANNEL_CODE,)
    if facts.choice.cni != "flannel":
        says = "what the plugin itself takes off is not known here: see its documentation"
        for layer in Layer:
            where = f"on an interface of {facts.mtu}" if layer.machines else "on the machines' own interface"
            yield Cost(layer, facts.choice.cni, None, f"{where}; {says}", _plugin_sources(facts.choice))
        return
    once = "encrypted once"
    yield Cost(Layer.UNDERLAY, "vxlan", facts.mtu - VXLAN_COST, f"{once}, in VXLAN inside WireGuard", flannel)
    yield Cost(Layer.UNDERLAY, "host-gw", facts.mtu, f"{once}, nothing else around it", (source.FLANNEL,))
    yield Cost(
        Layer.CNI,
        "wireguard-native",
        ETHERNET - WIREGUARD_COST,
        f"{once}; the MTU is that of a path of {ETHERNET}",
        flannel,
    )
    yield Cost(
        Layer.BOTH,
        "wireguard-native",
        facts.mtu - WIREGUARD_COST,
        "encrypted twice, by two keys of each machine and through two UDP ports",
        (*flannel, source.K3S_REQUIREMENTS),
    )


def _plugin_sources(choice: Choice) -> tuple[Source, ...]:
    return (source.CALICO,) if choice.cni == "calico" else (source.CILIUM,)


def _changes(facts: Facts, recommended: Layer) -> Iterator[Change]:
    """Every assumption, one at a time, that leads to another layer."""
    for assumption, value in _alternatives(ASSUMPTIONS):
        other = recommend(assumption.assume(facts, value))
        if other is not recommended:
            yield Change(assumption, value, other)


def _alternatives(assumptions: Sequence[Assumption]) -> Iterator[tuple[Assumption, str]]:
    return ((one, value) for one in assumptions for value in one.values)
