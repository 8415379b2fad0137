"""A Sheet as an SVG file that stands by itself: readable in light and dark, and without colour."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from wireloom.grammar import count
from wireloom.network.network import Member
from wireloom.report.layout import (
    HEAD,
    MARGIN,
    NAT_WIDTH,
    NOTE_HEIGHT,
    PADDING,
    Box,
    PlacedNode,
    PlacedSite,
    Sheet,
    Side,
)
from wireloom.report.lettering import address_line, flow, prose_width, range_line, shorten
from wireloom.report.lines import SPINE_WIDTH, Line, Port, draw_lines, number, spine_x
from wireloom.report.svg_style import MARKS, STYLE
from wireloom.report.tunnels import Detail, Picture, Way

MOST_NAMED = 16
"""Nodes of a site that the description names."""

LEGEND_ROOM = 30.0
LEGEND_STEP = 24.0

_MEANING = {
    Way.PRIVATE: "inside a site, by private address",
    Way.PUBLIC: "both dial, by public address",
    Way.ONE_WAY: "only one end can dial, along the arrow",
}
_ROLES = {"k3s-server": "server", "k3s-agent": "agent"}
_OTHER_ROLE = "other"
_ROLE_MEANING = {"server": "k3s server", "agent": "k3s agent", _OTHER_ROLE: "not in Kubernetes"}


def print_svg(sheet: Sheet) -> str:
    """Sheet → the text of the file."""
    picture = sheet.picture
    lines, ports = draw_lines(sheet)
    legend, bottom = _legend(sheet)
    width, height = number(sheet.width), number(bottom)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wireloom" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" aria-labelledby="wireloom-title wireloom-desc">',
        f'<title id="wireloom-title">{_text(f"WireGuard network of {picture.network.fleet}")}</title>',
        f'<desc id="wireloom-desc">{_text(_describe(picture))}</desc>',
        f"<style>{STYLE}</style>",
        MARKS,
        '<rect class="paper" width="100%" height="100%"/>',
        *_header(sheet),
        *(part for box in sheet.internets for part in _internet(box, picture.detail)),
        *(part for site in sheet.sites for part in _site(site, picture)),
        *(_line(line, picture.detail) for line in lines),
        *(part for site in sheet.sites for node in site.nodes for part in _card(node, picture.detail)),
        *(part for port in ports for part in _port(port)),
        *legend,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    """Text for between tags: what XML 1.0 can't hold, not even escaped, becomes a replacement character."""
    legal = (one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return escape("".join(legal))


def _attribute(text: str) -> str:
    """A quoted attribute value."""
    return quoteattr("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))


def _write(x: float, y: float, kind: str, text: str) -> str:
    return f'<text class="{kind}" x="{number(x)}" y="{number(y)}">{_text(text)}</text>'


def _rect(kind: str, box: Box, radius: float) -> str:
    return (
        f'<rect class="{kind}" x="{number(box.x)}" y="{number(box.y)}" width="{number(box.width)}" '
        f'height="{number(box.height)}" rx="{number(radius)}"/>'
    )


def _use(mark: str, x: float, y: float) -> str:
    return f'<use href="#wireloom-{mark}" x="{number(x)}" y="{number(y)}"/>'


def _describe(picture: Picture) -> str:
    """The picture in words, for who can't see it."""
    network = picture.network
    sites = "; ".join(
        f"{name}: {', '.join(member.name for member in members[:MOST_NAMED])}"
        + (f" and {len(members) - MOST_NAMED} more" if len(members) > MOST_NAMED else "")
        for name, members in picture.members.items()
    )
    ways = "; ".join(f"{_MEANING[way]}: {tunnels:,}" for way, tunnels in picture.counts().items())
    nodes = f"{count(len(network.members), 'node')} at {count(len(picture.sites), 'site')}"
    return f"{nodes}, {count(picture.tunnel_count, 'tunnel')} ({ways}). {sites}."


def _header(sheet: Sheet) -> Iterator[str]:
    yield _write(MARGIN, MARGIN + 20, "fleet", sheet.picture.network.fleet)
    for fact, (x, y) in zip(sheet.facts, sheet.fact_spots, strict=True):
        yield _write(MARGIN + x, HEAD + y, "key soft", fact.key)
        yield _write(MARGIN + x, HEAD + y + 17, "fact", fact.value)


def _internet(box: Box, detail: Detail) -> Iterator[str]:
    """The space in the middle. Its name stands above every port, so no line crosses it."""
    yield _rect("internet", Box(box.x + 14, box.y, box.width - 28, box.height), 18)
    middle = box.x + box.width / 2
    yield _use("cloud", middle - 48, box.y + 14)
    yield _write(middle + 10, box.y + 29, "place soft", "internet")
    if detail is Detail.SITES:
        spine = Box(spine_x(box) - SPINE_WIDTH / 2, box.y + 44, SPINE_WIDTH, box.height - 56)
        yield _rect("spine", spine, SPINE_WIDTH / 2)


def _site(place: PlacedSite, picture: Picture) -> Iterator[str]:
    site, box = place.site, place.box
    kind = "site nat" if site.nat else "site"
    yield f"<g data-site={_attribute(site.name)}>{_rect(kind, box, 12)}"
    name = shorten(site.name, 40)
    ranges = ", ".join(map(str, site.private)) or "no private range"
    yield f"<title>{_text(f'{site.name}: {ranges}')}</title>"
    yield _write(box.x + PADDING + 2, box.y + 22, "name", name)
    if site.nat:
        yield _use("nat", box.right - PADDING - 34, box.y + 10)
    yield _write(box.x + PADDING + 2, box.y + 39, "small soft", range_line(site))
    if picture.detail is not Detail.TUNNELS:
        for row, bundle in enumerate(picture.inside[site.name]):
            y = box.y + 57 + row * NOTE_HEIGHT
            tunnels = f"{count(bundle.count, 'tunnel')} inside"
            x = box.x + PADDING + 2
            yield f'<path class="line sample {bundle.way}" d="M{number(x)} {number(y - 4)}h24"/>'
            yield _write(x + 31, y, "small soft", tunnels)
    yield "</g>"


def _line(line: Line, detail: Detail) -> str:
    kind, mark = ("tunnel", "arrow") if detail is Detail.TUNNELS else ("bundle", "big-arrow")
    arrow = f' marker-end="url(#wireloom-{mark})"' if line.way is Way.ONE_WAY else ""
    width = f' stroke-width="{number(line.width)}"' if line.width is not None else ""
    ends = f"data-near={_attribute(line.near)} data-far={_attribute(line.far)}"
    return (
        f'<path class="line {kind} {line.way}" {ends}{width}{arrow} d="{line.path}">'
        f"<title>{_text(line.title)}</title></path>"
    )


def _role(member: Member) -> str:
    return next((mark for role, mark in _ROLES.items() if role in member.roles), _OTHER_ROLE)


def _card(node: PlacedNode, detail: Detail) -> Iterator[str]:
    member, box = node.member, node.box
    rows = [address_line(member)] if detail is Detail.TUNNELS else [str(one.ip) for one in member.interfaces]
    roomy = detail is Detail.TUNNELS
    yield f"<g data-node={_attribute(member.name)}>{_rect('card', box, 7)}"
    yield f"<title>{_text(_card_title(member))}</title>"
    yield _use(_role(member), box.x + 8, box.middle - 7)
    x = box.x + 28
    yield _write(x, box.y + (18 if roomy else 14), "host" if roomy else "host tight", node.label)
    for row, address in enumerate(rows):
        top = box.y + (33 if roomy else 27) + row * 12
        yield _write(x, top, "small soft" if roomy else "small soft tight", address)
    if node.nat_mark:
        yield _use("nat", box.right - NAT_WIDTH, box.y + (6 if roomy else 3))
    yield "</g>"


def _card_title(member: Member) -> str:
    about = [member.name, address_line(member), *member.roles, *(["behind NAT"] if member.nat else [])]
    return ", ".join(about)


def _port(port: Port) -> Iterator[str]:
    yield f'<circle class="port" cx="{number(port.x)}" cy="{number(port.y)}" r="3"/>'
    if port.label:
        end = " end" if port.direction == Side.LEFT.value else ""
        yield _write(port.x - port.direction * 10, port.y + 4, f"small soft{end}", port.label)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the legend: a mark, or the line of a way, and what it means."""

    text: str
    way: Way | None = None
    mark: str = ""

    @property
    def indent(self) -> float:
        """Where the text begins: a line or the NAT mark is wider than the other marks."""
        return 40.0 if self.way is not None or self.mark == "nat" else 22.0


def _entries(picture: Picture) -> Iterator[_Entry]:
    """What occurs in the picture and needs a word."""
    for way, tunnels in picture.counts().items():
        yield _Entry(f"{_MEANING[way]}: {tunnels:,}", way=way)
    members = picture.network.members.values()
    present = {_role(member) for member in members}
    yield from (_Entry(text, mark=mark) for mark, text in _ROLE_MEANING.items() if mark in present)
    if any(member.nat for member in members):
        yield _Entry("can't be dialled from outside", mark="nat")
    if picture.between and picture.detail is not Detail.TUNNELS:
        yield _Entry(f"{picture.detail.value}, with the number of tunnels", mark="more")


def _legend(sheet: Sheet) -> tuple[list[str], float]:
    """The parts of the legend, and the height of the whole picture."""
    entries = list(_entries(sheet.picture))
    widths = (entry.indent + prose_width(entry.text, 12) for entry in entries)
    spots = flow(widths, sheet.width - 2 * MARGIN, LEGEND_STEP, 18)
    top = sheet.bottom + LEGEND_ROOM
    parts = []
    for entry, (dx, dy) in zip(entries, spots, strict=True):
        x, y = MARGIN + dx, top + dy
        if entry.way is Way.ONE_WAY:
            start = f"M{number(x)} {number(y)}h22"
            parts.append(f'<path class="line sample one-way" marker-end="url(#wireloom-arrow)" d="{start}"/>')
        elif entry.way is not None:
            parts.append(f'<path class="line sample {entry.way}" d="M{number(x)} {number(y)}h30"/>')
        else:
            parts.append(_use(entry.mark, x, y - (8 if entry.mark == "nat" else 7)))
        parts.append(_write(x + entry.indent, y + 4, "legend soft", entry.text))
    return parts, top + max((dy for _, dy in spots), default=0.0) + MARGIN
