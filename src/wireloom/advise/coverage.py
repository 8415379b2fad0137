"""The part of the matrix that is about one fleet, with what was proven on its machines."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wireloom.advise.choice import Choice, Layer
from wireloom.advise.matrix import (
    CALICO,
    CILIUM,
    CILIUM_NODES,
    COLUMNS,
    K3S_NATIVE,
    MATRIX,
    UNDERLAY_HOST_GW,
    UNDERLAY_NATIVE,
    UNDERLAY_VXLAN,
    Cell,
    Column,
    Note,
)
from wireloom.advise.proof import BY_PODS, Proof
from wireloom.advise.source import WIRELOOM, Source
from wireloom.advise.traffic import WITHOUT_CLUSTER, TrafficClass

READ_FOR_FLANNEL = Note(
    "read-for-flannel",
    "read for flannel: another plugin should be alike where it, too, sends to the nodes' underlay addresses",
    (WIRELOOM,),
)
EACH_BY_ITSELF = Note(
    "each-by-itself",
    "each layer by itself, because nobody has read what both do together: what either encrypts is encrypted",
    (WIRELOOM,),
)
TWO_MODES = Note(
    "two-modes",
    "the fleet file does not say whether Cilium's nodeEncryption is on: it may be either",
    (WIRELOOM,),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One class of traffic: a cell for each column, and what was proven of it on the fleet's machines."""

    traffic: TrafficClass
    cells: tuple[Cell, ...]
    proof: Proof | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources that are about the class itself: every cell has them."""
        first, *others = self.cells
        return tuple(one for one in first.sources if all(one in cell.sources for cell in others))


@dataclass(frozen=True, slots=True)
class Coverage:
    """A table as plain data. ``own`` are the columns that are this fleet's; ``remarks`` are about those."""

    choice: Choice
    columns: tuple[Column, ...]
    own: frozenset[Column]
    rows: tuple[Row, ...]
    remarks: tuple[Note, ...] = ()

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every note of a column or a cell, once, in the order in which a reader meets it."""
        of_columns = (note for column in self.columns for note in column.notes if self._encrypts(column))
        of_cells = (note for row in self.rows for cell in row.cells for note in cell.notes)
        return tuple(dict.fromkeys((*of_columns, *of_cells)))

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source, once, in the order in which a reader meets it."""
        of_cells = (one for row in self.rows for cell in row.cells for one in cell.sources)
        of_notes = (one for note in (*self.notes, *self.remarks) for one in note.sources)
        return tuple(dict.fromkeys((*of_cells, *of_notes)))

    def _encrypts(self, column: Column) -> bool:
        place = self.columns.index(column)
        return any(row.cells[place].cover.encrypted for row in self.rows)


def cover(
    choice: Choice, proofs: Mapping[TrafficClass, Proof], *, cluster: bool = True, every_column: bool = False
) -> Coverage:
    """What encrypts what under a choice, or with ``every_column`` under each that there is.

    A proof by machines is of their own encryption: it is passed over where the choice has none. ``cluster``:
    the fleet has Kubernetes on it.
    """
    own, remarks = columns_of(choice)
    columns = COLUMNS if every_column else own
    rows = TrafficClass if cluster else WITHOUT_CLUSTER
    return Coverage(
        choice,
        columns,
        frozenset(own),
        tuple(_row(traffic, columns, own, proofs) for traffic in rows),
        remarks if cluster else (),
    )


def columns_of(choice: Choice) -> tuple[tuple[Column, ...], tuple[Note, ...]]:
    """The columns of the matrix that fit a choice, and what is to be said of the fit."""
    if choice.cni == "flannel":
        return (_flannel_column(choice),), ()
    if choice.layer is Layer.UNDERLAY:
        return (UNDERLAY_VXLAN,), (READ_FOR_FLANNEL,)
    plugin, remarks = _plugin_columns(choice)
    if choice.layer is Layer.CNI:
        return plugin, remarks
    return (UNDERLAY_VXLAN, *plugin), (EACH_BY_ITSELF, READ_FOR_FLANNEL, *remarks)


def _flannel_column(choice: Choice) -> Column:
    if choice.layer is Layer.CNI:
        return K3S_NATIVE
    if choice.layer is Layer.BOTH:
        return UNDERLAY_NATIVE
    return UNDERLAY_HOST_GW if choice.backend == "host-gw" else UNDERLAY_VXLAN


def _plugin_columns(choice: Choice) -> tuple[tuple[Column, ...], tuple[Note, ...]]:
    if choice.cni == "calico":
        return (CALICO,), ()
    if choice.node_encryption is None:
        return (CILIUM, CILIUM_NODES), (TWO_MODES,)
    return (CILIUM_NODES if choice.node_encryption else CILIUM,), ()


def _row(
    traffic: TrafficClass,
    columns: Iterable[Column],
    own: Iterable[Column],
    proofs: Mapping[TrafficClass, Proof],
) -> Row:
    cells = MATRIX[traffic]
    by_machines = any(cells[column].cover.by_underlay for column in own)
    return Row(
        traffic,
        tuple(cells[column] for column in columns),
        proofs.get(traffic) if by_machines or traffic in BY_PODS else None,
    )


def unencrypted(coverage: Coverage) -> Iterator[tuple[TrafficClass, Cell]]:
    """What WireGuard leaves alone, or encrypts only under conditions: each class with its best cell.

    Of two columns of one layer only one is the fleet's, and nobody knows which: the worse one counts.
    """
    for row in coverage.rows:
        of_layers: dict[Layer | None, Cell] = {}
        for column, cell in zip(coverage.columns, row.cells, strict=True):
            other = of_layers.get(column.layer)
            if other is None or cell.strength < other.strength:
                of_layers[column.layer] = cell
        best = max(of_layers.values(), key=lambda cell: cell.strength)
        if best.strength < 2:
            yield row.traffic, best
