"""Where everything of a Picture goes: two columns of sites and the internet between them.

Lines leave a site on its inner side and cross only the space in the middle; tunnels by private
addresses run along its outer side. So no line ever crosses a name. All lengths are in SVG user units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from wireloom.intent.fleet import Site
from wireloom.network.network import Member
from wireloom.report.lettering import (
    address_line,
    flow,
    port_label,
    range_line,
    shorten,
    spoke_label,
    text_width,
)
from wireloom.report.tunnels import Detail, Picture, Way
from wireloom.values import SiteName

MARGIN = 28.0
GAP = 18.0
PADDING = 12.0
SITE_HEAD = 50.0
NOTE_HEIGHT = 18.0
PORT_HEIGHT = 19.0
ROW_HEIGHT = 42.0
MARK_WIDTH = 28.0
NAT_WIDTH = 40.0
NARROWEST = 640.0
HEAD = MARGIN + 46
FACT_STEP = 46.0
MOST_CHIP_COLUMNS = 8
MOST_PANELS = 4
GOOD_SHAPE = 1.35
"""Width over height of a picture that fits a screen or a page."""

LONGEST_NAME = {Detail.TUNNELS: 40, Detail.SITE_PAIRS: 22, Detail.SITES: 22}
"""Characters; longer names are cut in the middle, and whole in the tooltip."""


class Side(Enum):
    """The column of a site, as a direction: towards the internet is +1 from the left, -1 from the right."""

    LEFT = 1
    RIGHT = -1


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """The y of the centre."""
        return self.y + self.height / 2

    def inner(self, side: Side) -> float:
        """The x of the edge that faces the internet."""
        return self.right if side is Side.LEFT else self.x

    def outer(self, side: Side) -> float:
        """The x of the edge that faces away from the internet."""
        return self.x if side is Side.LEFT else self.right


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A node's card."""

    member: Member
    label: str
    box: Box
    nat_mark: bool


@dataclass(frozen=True, slots=True)
class PlacedSite:
    """A site's box with the cards in it.

    ``internet`` is the space that its lines run through, ``ports`` where the list of them goes, if any.
    """

    site: Site
    box: Box
    side: Side
    internet: Box | None
    nodes: tuple[PlacedNode, ...]
    ports: Box


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds for the whole network."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """The whole drawing. ``internets`` are the spaces between columns that lines cross, one per panel."""

    picture: Picture
    width: float
    facts: tuple[Fact, ...]
    fact_spots: tuple[tuple[float, float], ...]
    internets: tuple[Box, ...]
    sites: tuple[PlacedSite, ...]
    bottom: float


@dataclass(frozen=True, slots=True)
class _Measure:
    """The sizes that all sites of a drawing share."""

    gutter: float
    card_width: float
    card_height: float
    card_gap: float
    columns: int
    ports_width: float

    @property
    def site_width(self) -> float:
        grid = self.columns * (self.card_width + self.card_gap) - self.card_gap
        return self.gutter + grid + PADDING + self.ports_width


@dataclass(frozen=True, slots=True)
class _Column:
    """Sites one below the other, with their heights."""

    names: tuple[SiteName, ...]
    heights: tuple[float, ...]

    @property
    def height(self) -> float:
        """The height of all, the gaps between them included."""
        return max(0.0, sum(self.heights) + GAP * (len(self.heights) - 1))


def lay_out(picture: Picture) -> Sheet:
    """Picture → Sheet. In bundles, the columns of cards and the panels are as many as make a good shape."""
    if picture.detail is Detail.TUNNELS:
        return _place(picture, _measure_rows(picture))
    largest = max(len(members) for members in picture.members.values())
    measures = [_measure_chips(picture, columns) for columns in range(1, min(largest, MOST_CHIP_COLUMNS) + 1)]
    most_panels = MOST_PANELS if picture.detail is Detail.SITES else 1
    sheets = [_place(picture, measure, n + 1) for measure in measures for n in range(most_panels)]
    return min(sheets, key=lambda sheet: abs(sheet.width / sheet.bottom - GOOD_SHAPE))


def _measure_rows(picture: Picture) -> _Measure:
    """One card per line, wide enough for every name and address; arcs of private tunnels beside it."""
    members = picture.network.members.values()
    names = max(
        (text_width(_label(one, picture), 13) + _nat_width(one, picture) for one in members), default=0
    )
    addresses = max((text_width(address_line(one), 11) for one in members), default=0)
    private = [name for name, found in picture.inside.items() if any(one.way is Way.PRIVATE for one in found)]
    longest = max((len(picture.members[name]) - 1 for name in private), default=0)
    gutter = PADDING + (arc_depth(longest) if longest else 0)
    return _Measure(gutter, MARK_WIDTH + max(names, addresses) + 14, ROW_HEIGHT, 6, 1, 0)


def _measure_chips(picture: Picture, columns: int) -> _Measure:
    """Compact cards in a grid, one line for each address, and a list of ports at the side."""
    members = picture.network.members.values()
    names = max(text_width(_label(one, picture), 11) + _nat_width(one, picture) for one in members)
    addresses = max(text_width(str(one.ip), 10) for member in members for one in member.interfaces)
    families = max(len(member.interfaces) for member in members)
    ports = [text_width(label, 11) for name in picture.sites for label in port_labels(picture, name)]
    ports_width = max(ports) + 26 if ports else 0
    widest = MARK_WIDTH + max(names, addresses) + 8
    return _Measure(PADDING, widest, 20.0 + 13 * families, 5, columns, ports_width)


def arc_depth(distance: int) -> float:
    """How far an arc between two cards that are so many places apart bulges."""
    return 8.0 + 8.0 * min(distance, 15)


def port_labels(picture: Picture, name: SiteName) -> list[str]:
    """The names of a site's lines to elsewhere, in no order."""
    if picture.detail is Detail.SITES:
        return [spoke_label(one) for one in picture.spokes[name]]
    return [
        port_label(one.far if one.near == name else one.near, one.count)
        for one in picture.between
        if name in (one.near, one.far)
    ]


def _label(member: Member, picture: Picture) -> str:
    return shorten(member.name, LONGEST_NAME[picture.detail])


def _nat_width(member: Member, picture: Picture) -> float:
    return NAT_WIDTH if nat_marked(member, picture) else 0.0


def nat_marked(member: Member, picture: Picture) -> bool:
    """Whether the node itself must carry the NAT mark: not where it stands at its site for all of them."""
    site = picture.sites[member.site]
    return member.nat and not (site.nat and all(one.nat for one in picture.members[member.site]))


def _place(picture: Picture, measure: _Measure, panels: int = 1) -> Sheet:
    """Sites in file order down the left column of a panel, then down the right one, then the next panel."""
    heights = {name: _site_height(picture, name, measure) for name in picture.sites}
    pairs = _columns(list(picture.sites), heights, panels)
    tall = max((column.height for pair in pairs for column in pair), default=0.0)
    site_width, channel = _widths(picture, measure, tall, len(pairs))
    panel = site_width + channel + (site_width if len(heights) > 1 else 0.0)
    total = len(pairs) * (panel + 2 * GAP) - 2 * GAP
    sheet_width = max(NARROWEST, total + 2 * MARGIN)
    facts, spots = _facts(picture, sheet_width - 2 * MARGIN)
    x, y = (sheet_width - total) / 2, HEAD + spots[-1][1] + FACT_STEP
    placed: list[PlacedSite] = []
    internets: list[Box] = []
    for left, right in pairs:
        internet = Box(x + site_width, y, channel, tall) if _is_crossed(picture) else None
        internets += [internet] if internet else []
        room = Box(x, y, site_width, tall)
        placed += _place_column(picture, left, Side.LEFT, room, internet=internet, measure=measure)
        room = Box(x + site_width + channel, y, site_width, tall)
        placed += _place_column(picture, right, Side.RIGHT, room, internet=internet, measure=measure)
        x += panel + 2 * GAP
    return Sheet(picture, sheet_width, facts, spots, tuple(internets), tuple(placed), y + tall)


def _columns(
    names: list[SiteName], heights: dict[SiteName, float], panels: int
) -> list[tuple[_Column, _Column]]:
    """The sites in pairs of columns, the two of a pair as even as their order allows."""
    each = max(1, -(-len(names) // panels))
    pairs = []
    for start in range(0, len(names), each):
        group = names[start : start + each]
        turn = _even_split([heights[name] for name in group])
        sides = (group[:turn], group[turn:])
        left, right = (_Column(tuple(side), tuple(heights[name] for name in side)) for side in sides)
        pairs.append((left, right))
    return pairs


def _even_split(heights: Sequence[float]) -> int:
    """How many of the first boxes go left. The first always does."""
    turns = range(1, len(heights) + 1)
    return min(turns, key=lambda turn: abs(sum(heights[:turn]) - sum(heights[turn:])))


def _widths(picture: Picture, measure: _Measure, tall: float, panels: int) -> tuple[float, float]:
    """The width of every site's box, and of the space between two columns: more where curves are steep."""
    site = max([measure.site_width, *(_head_width(one) for one in picture.sites.values())])
    columns = min(2, len(picture.sites))
    if not _is_crossed(picture):
        return site, 2 * GAP * (columns - 1)
    if picture.detail is Detail.SITES:
        return site, 180.0
    spare = NARROWEST - 2 * MARGIN - columns * site if panels == 1 else 0.0
    return site, max(250.0, spare, min(420.0, tall * 0.36))


def _is_crossed(picture: Picture) -> bool:
    """Whether any line goes through the internet. Bundles inside a site are a note in its box, not a line."""
    if picture.detail is not Detail.TUNNELS:
        return bool(picture.between)
    return any(tunnel.way is not Way.PRIVATE for tunnel in picture.tunnels)


def _facts(picture: Picture, room: float) -> tuple[tuple[Fact, ...], tuple[tuple[float, float], ...]]:
    """What holds for the whole network, and where each fact stands below the fleet's name."""
    network = picture.network
    facts = (
        Fact("INTERFACE", network.interface),
        Fact("UNDERLAY" if network.under else "PODS", ", ".join(map(str, network.ranges))),
        Fact("UDP PORT", str(network.port)),
        Fact("MTU", str(network.mtu)),
        Fact("NODES", f"{len(network.members):,}"),
        Fact("TUNNELS", f"{picture.tunnel_count:,}"),
    )
    widths = (max(text_width(fact.value, 13), text_width(fact.key, 10)) for fact in facts)
    return facts, tuple(flow(widths, room, FACT_STEP, 28))


def _head_width(site: Site) -> float:
    title = text_width(shorten(site.name, 40), 16) + (NAT_WIDTH + 20 if site.nat else 0)
    return max(title, text_width(range_line(site), 11)) + 2 * PADDING + 8


def _site_height(picture: Picture, name: SiteName, measure: _Measure) -> float:
    rows = -(-len(picture.members[name]) // measure.columns)
    grid = rows * (measure.card_height + measure.card_gap) - measure.card_gap
    if picture.detail is Detail.TUNNELS:
        return SITE_HEAD + grid + PADDING
    ports = len(port_labels(picture, name)) * PORT_HEIGHT
    notes = NOTE_HEIGHT * len(picture.inside[name])
    return SITE_HEAD + notes + max(grid, ports) + PADDING


def _place_column(
    picture: Picture, column: _Column, side: Side, room: Box, *, internet: Box | None, measure: _Measure
) -> Iterator[PlacedSite]:
    """The sites of a column, in the middle of its room."""
    y = room.y + (room.height - column.height) / 2
    for name, height in zip(column.names, column.heights, strict=True):
        box = Box(room.x, y, room.width, height)
        yield _place_site(picture, name, box, side, internet=internet, measure=measure)
        y += height + GAP


def _place_site(
    picture: Picture, name: SiteName, box: Box, side: Side, *, internet: Box | None, measure: _Measure
) -> PlacedSite:
    """Cards from the outer side's gutter inwards, then the list of ports at the inner edge."""
    spare = box.width - measure.site_width
    measure = replace(measure, card_width=measure.card_width + spare / measure.columns)
    notes = 0.0 if picture.detail is Detail.TUNNELS else NOTE_HEIGHT * len(picture.inside[name])
    top = box.y + SITE_HEAD + notes
    ports_x = box.right - measure.ports_width if side is Side.LEFT else box.x
    left = box.x + (measure.gutter if side is Side.LEFT else measure.ports_width + PADDING)
    nodes = []
    for number, member in enumerate(picture.members[name]):
        row, column = divmod(number, measure.columns)
        x = left + column * (measure.card_width + measure.card_gap)
        y = top + row * (measure.card_height + measure.card_gap)
        card = Box(x, y, measure.card_width, measure.card_height)
        nodes.append(PlacedNode(member, _label(member, picture), card, nat_marked(member, picture)))
    ports = Box(ports_x, top, measure.ports_width, box.bottom - PADDING - top)
    return PlacedSite(picture.sites[name], box, side, internet, tuple(nodes), ports)
