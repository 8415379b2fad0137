"""The matrix as it is written down in the documentation, and that no cell is without a source."""

import pytest

from tests.documents import DOCS
from wireloom.advise import source
from wireloom.advise.assumption import ASSUMPTIONS
from wireloom.advise.matrix import COLUMNS, LETTERS, MATRIX, Column, Cover
from wireloom.advise.rules import RULES
from wireloom.advise.source import Source
from wireloom.advise.traffic import TrafficClass

PAGE = (DOCS / "which-layer.md").read_text()
LETTER_OF = {cover: letter for letter, cover in LETTERS.items()}
FOOTNOTES = {
    "control-plane-opts-out": "¹",
    "calico-node-to-pod": "²",
    "cilium-tunnel-mode": "³",
    "in-the-fleet": "⁴",
    "cilium-kube-proxy-replacement": "⁵",
    "cilium-native-routing": "⁶",
    "inferred": "ⁱ",
}
CELLS = [(traffic, column) for traffic in TrafficClass for column in COLUMNS]


def test_every_class_has_a_cell_in_every_column() -> None:
    assert {traffic: tuple(cells) for traffic, cells in MATRIX.items()} == dict.fromkeys(
        TrafficClass, COLUMNS
    )


@pytest.mark.parametrize(("traffic", "column"), CELLS, ids=lambda one: getattr(one, "name", str(one)))
def test_every_cell_has_a_source(traffic: TrafficClass, column: Column) -> None:
    assert MATRIX[traffic][column].sources


@pytest.mark.parametrize(("traffic", "column"), CELLS, ids=lambda one: getattr(one, "name", str(one)))
def test_a_cell_is_encrypted_by_the_layer_of_its_column_or_not_at_all(
    traffic: TrafficClass, column: Column
) -> None:
    cover = MATRIX[traffic][column].cover
    assert cover.by_underlay <= (column.layer is not None and column.layer.machines)
    assert (cover in (Cover.CNI, Cover.BOTH)) <= (column.layer is not None and column.layer.plugin)


def test_the_sources_of_a_note_are_sources_of_its_cell() -> None:
    for traffic, column in CELLS:
        cell = MATRIX[traffic][column]
        assert {one for note in cell.notes for one in note.sources} <= set(cell.sources)


def sources() -> list[Source]:
    return [one for one in vars(source).values() if isinstance(one, Source)]


def test_a_source_is_an_address_of_its_own() -> None:
    assert len({one.url for one in sources()}) == len({one.name for one in sources()}) == len(sources())
    assert all(one.url.startswith("https://") for one in sources() if one is not source.WIRELOOM)
    assert (DOCS.parent / source.WIRELOOM.url).is_file()


def test_no_source_is_there_for_nothing() -> None:
    used = {one for rule in RULES for one in rule.sources}
    used |= {one for cells in MATRIX.values() for cell in cells.values() for one in cell.sources}
    used |= {one for column in COLUMNS for note in column.notes for one in note.sources}
    assert used == set(sources())


# The page and the data can't part.


@pytest.mark.parametrize("traffic", TrafficClass)
def test_the_page_has_the_row(traffic: TrafficClass) -> None:
    written = [
        LETTER_OF[cell.cover] + "".join(FOOTNOTES[note.name] for note in cell.notes)
        for cell in MATRIX[traffic].values()
    ]
    assert f"\n| {traffic.called} | {' | '.join(written)} |\n" in PAGE


def test_the_page_has_every_rule_assumption_and_source() -> None:
    assert [rule.name for rule in RULES if f"`{rule.name}`" not in PAGE] == []
    assert [one.key for one in ASSUMPTIONS if f"`{one.key}`" not in PAGE] == []
    assert [one.url for one in sources() if one is not source.WIRELOOM and one.url not in PAGE] == []
