"""Where everything of a Picture goes: two columns of sites and the internet between them.

Lines leave a site on its inner side and cross only the space in the middle; tunnels by private
addresses run along its outer side. So no line ever crosses a name. All lengths are in SVG user units.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from wireloom.intent.fleet import Site
from wireloom.network.network import Member
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
MOST_CHIP_COLUMNS = 8
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
    """A site's box with the cards in it. ``ports`` is where the list of its lines goes, if it has one."""

    site: Site
    box: Box
    side: Side
    nodes: tuple[PlacedNode, ...]
    ports: Box


@dataclass(frozen=True, slots=True)
class Sheet:
    """The whole drawing. ``internet`` is the space in the middle, None where nothing crosses it."""

    picture: Picture
    width: float
    facts: tuple[tuple[str, str], ...]
    fact_spots: tuple[tuple[float, float], ...]
    internet: Box | None
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
        ports = self.ports_width + PADDING if self.ports_width else 0.0
        return self.gutter + grid + ports + PADDING


def text_width(text: str, size: float) -> float:
    """How wide a text gets at a font size: monospace is 0.6 em a character in every common font."""
    return len(text) * size * 0.602


def prose_width(text: str, size: float) -> float:
    """About how wide a text in a proportional font gets; most of them need less."""
    return len(text) * size * 0.54


def shorten(text: str, most: int) -> str:
    """At most so many characters: the middle goes, for fleets count at the end of their names."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def flow(widths: Iterable[float], most: float, step: float, gap: float) -> list[tuple[float, float]]:
    """Items of these widths in lines, as text wraps: the (x, y) of each, from (0, 0)."""
    spots, x, y = [], 0.0, 0.0
    for width in widths:
        if x and x + width > most:
            x, y = 0.0, y + step
        spots.append((x, y))
        x += width + gap
    return spots


def lay_out(picture: Picture) -> Sheet:
    """Picture → Sheet. In bundles the number of columns of cards is chosen for the shape of the whole."""
    if picture.detail is Detail.TUNNELS:
        return _place(picture, _measure_rows(picture))
    sheets = [_place(picture, _measure_chips(picture, n)) for n in range(1, MOST_CHIP_COLUMNS + 1)]
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


def address_line(member: Member) -> str:
    """The underlay addresses of a node, side by side."""
    return " · ".join(str(interface.ip) for interface in member.interfaces)


def range_line(site: Site) -> str:
    """The private ranges of a site, as many as fit."""
    if not site.private:
        return "no private range"
    more = f" +{len(site.private) - 2}" if len(site.private) > 2 else ""
    return ", ".join(str(prefix) for prefix in site.private[:2]) + more


def port_labels(picture: Picture, name: SiteName) -> list[str]:
    """The list of a site's lines to elsewhere, in no order: the other site's name and the number of tunnels."""
    if picture.detail is Detail.SITES:
        return [spoke_label(one.count, one.sites) for one in picture.spokes[name]]
    return [
        port_label(one.far if one.near == name else one.near, one.count)
        for one in picture.between
        if name in (one.near, one.far)
    ]


def port_label(other: SiteName, count: int) -> str:
    """What stands at the end of a line to another site."""
    return f"{shorten(other, 22)} {count:,}"


def spoke_label(count: int, sites: int) -> str:
    """What stands at the end of a line to all other sites."""
    return f"{count:,} to {sites} site{'s' if sites > 1 else ''}"


def _label(member: Member, picture: Picture) -> str:
    return shorten(member.name, LONGEST_NAME[picture.detail])


def _nat_width(member: Member, picture: Picture) -> float:
    return NAT_WIDTH if nat_marked(member, picture) else 0.0


def nat_marked(member: Member, picture: Picture) -> bool:
    """Whether the node itself must carry the NAT mark: not where it stands at its site for all of them."""
    site = picture.sites[member.site]
    return member.nat and not (site.nat and all(one.nat for one in picture.members[member.site]))


def _place(picture: Picture, measure: _Measure, panels: int = 1) -> Sheet:
    """Sites in file order down the left column, then down the right one; more panels stand side by side."""
    names = list(picture.sites)
    width = max([measure.site_width, *(_head_width(site) for site in picture.sites.values())])
    heights = {name: _site_height(picture, name, measure) for name in names}
    each = -(-len(names) // panels) or 1
    groups = [names[start : start + each] for start in range(0, len(names), each)]
    turns = [_even_split([heights[name] for name in group]) for group in groups]
    stacks = [
        (_stack([heights[n] for n in group[:turn]]), _stack([heights[n] for n in group[turn:]]))
        for group, turn in zip(groups, turns, strict=True)
    ]
    tall = max((height for pair in stacks for _, height in pair), default=0.0)
    channel = _channel_width(picture, tall)
    two_columns = len(names) > 1
    spare = NARROWEST - 2 * MARGIN - width * (2 if two_columns else 1) - channel
    if channel and len(groups) == 1:
        channel += max(0.0, spare)
    right = width + (channel or 2 * GAP)
    panel = right + width if two_columns else width + channel
    total = len(groups) * (panel + 2 * GAP) - 2 * GAP
    sheet_width = max(NARROWEST, total + 2 * MARGIN)
    facts = _facts(picture)
    widths = (max(text_width(value, 13), text_width(key, 10)) for key, value in facts)
    spots = flow(widths, sheet_width - 2 * MARGIN, FACT_STEP, 28)
    y = HEAD + spots[-1][1] + FACT_STEP
    x = (sheet_width - total) / 2
    placed: list[PlacedSite] = []
    internets = []
    for group, turn, (left_stack, right_stack) in zip(groups, turns, stacks, strict=True):
        internet = Box(x + width, y, channel, tall) if channel else None
        internets += [internet] if internet else []
        columns = ((Side.LEFT, x, group[:turn], left_stack), (Side.RIGHT, x + right, group[turn:], right_stack))
        for side, edge, members, (tops, height) in columns:
            for name, top in zip(members, tops, strict=True):
                box = Box(edge, y + (tall - height) / 2 + top, width, heights[name])
                placed.append(_place_site(picture, name, box, side, internet, measure))
        x += panel + 2 * GAP
    return Sheet(picture, sheet_width, facts, tuple(spots), tuple(internets), tuple(placed), y + tall)


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


def _even_split(heights: Sequence[float]) -> int:
    """How many of the first boxes go left. The first always does."""
    return min(
        range(1, len(heights) + 1),
        key=lambda turn: abs(sum(heights[:turn]) - sum(heights[turn:])),
        default=0,
    )


def _stack(heights: Sequence[float]) -> tuple[list[float], float]:
    """The tops of boxes in one column, from 0, and the height of all."""
    tops, y = [], 0.0
    for height in heights:
        tops.append(y)
        y += height + GAP
    return tops, max(0.0, y - GAP)


def _channel_width(picture: Picture, tall: float) -> float:
    """Wide where the curves are steep; nothing where no tunnel leaves its site."""
    home_only = all(one.way is Way.PRIVATE for found in picture.inside.values() for one in found)
    if not picture.between and (home_only or picture.detail is not Detail.TUNNELS):
        return 0.0
    if picture.detail is Detail.SITES:
        return 180.0
    return min(420.0, max(250.0, tall * 0.36))


def _facts(picture: Picture) -> tuple[tuple[str, str], ...]:
    network = picture.network
    return (
        ("INTERFACE", network.interface),
        ("UNDERLAY", ", ".join(map(str, network.ranges))),
        ("UDP PORT", str(network.port)),
        ("MTU", str(network.mtu)),
        ("NODES", f"{len(network.members):,}"),
        ("TUNNELS", f"{picture.tunnel_count:,}"),
    )


def _place_site(picture: Picture, name: SiteName, box: Box, side: Side, measure: _Measure) -> PlacedSite:
    """Cards from the outer side's gutter inwards, then the list of ports at the inner edge."""
    spare = box.width - measure.site_width
    measure = replace(measure, card_width=measure.card_width + spare / measure.columns)
    notes = 0.0 if picture.detail is Detail.TUNNELS else NOTE_HEIGHT * len(picture.inside[name])
    top = box.y + SITE_HEAD + notes
    ports_x = box.right - measure.ports_width if side is Side.LEFT else box.x
    inset = measure.ports_width + PADDING if measure.ports_width else PADDING
    left = box.x + (measure.gutter if side is Side.LEFT else inset)
    nodes = []
    for number, member in enumerate(picture.members[name]):
        row, column = divmod(number, measure.columns)
        x = left + column * (measure.card_width + measure.card_gap)
        y = top + row * (measure.card_height + measure.card_gap)
        card = Box(x, y, measure.card_width, measure.card_height)
        nodes.append(PlacedNode(member, _label(member, picture), card, nat_marked(member, picture)))
    ports = Box(ports_x, top, measure.ports_width, box.bottom - PADDING - top)
    return PlacedSite(picture.sites[name], box, side, tuple(nodes), ports)
