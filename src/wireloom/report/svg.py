"""A Sheet as an SVG file that stands by itself: readable in light and dark, and without colour."""

import math
from collections.abc import Iterable, Iterator
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
from wireloom.report.lines import SPINE_WIDTH, Line, LineKey, Port, draw_lines, number, spine_x
from wireloom.report.links import Links
from wireloom.report.svg_style import JUDGED_MARKS, MARKS, svg_style
from wireloom.report.tally import WORST_FIRST, Tally
from wireloom.report.tunnels import Detail, Picture, Way
from wireloom.verify.claim import Verdict

MOST_NAMED = 16
"""Nodes of a site that the description names."""

LEGEND_ROOM = 30.0
LEGEND_STEP = 24.0

MARKED = (Verdict.FALSIFIED, Verdict.UNKNOWN)
"""States that get a mark on the line: a line that holds is left as it is."""

BADGE_SPOTS = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)
"""Where on a line its mark may stand, as shares of the way."""

BADGE_ROOM = 19.0

_MEANING = {
    Way.PRIVATE: "inside a site, by private address",
    Way.PUBLIC: "both dial, by public address",
    Way.ONE_WAY: "only one end can dial, along the arrow",
}
_ROLES = {"k3s-server": "server", "k3s-agent": "agent"}
_OTHER_ROLE = "other"
_ROLE_MEANING = {"server": "k3s server", "agent": "k3s agent", _OTHER_ROLE: "not in Kubernetes"}


def print_svg(sheet: Sheet, links: Links | None = None) -> str:
    """Sheet → the text of the file; with the state of its links, if they were tested."""
    picture = sheet.picture
    lines, ports = draw_lines(sheet)
    legend, bottom = _legend(sheet, links)
    width, height = number(sheet.width), number(bottom)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wireloom{" judged" if links else ""}" role="img" '
        f'viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" aria-labelledby="wireloom-title wireloom-desc">',
        f'<title id="wireloom-title">{_text(f"WireGuard network of {picture.network.fleet}")}</title>',
        f'<desc id="wireloom-desc">{_text(_describe(picture, links))}</desc>',
        f"<style>{svg_style(judged=links is not None)}</style>",
        MARKS,
        *([JUDGED_MARKS] if links else []),
        '<rect class="paper" width="100%" height="100%"/>',
        *_header(sheet),
        *(part for box in sheet.internets for part in _internet(box, picture.detail)),
        *(part for site in sheet.sites for part in _site(site, picture, links)),
        *(_line(line, picture.detail, links) for line in _worst_last(lines, links)),
        *(part for site in sheet.sites for node in site.nodes for part in _card(node, picture.detail, links)),
        *(part for port in ports for part in _port(port)),
        *(_badges(sheet, lines, links) if links else []),
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


def _describe(picture: Picture, links: Links | None) -> str:
    """The picture in words, for who can't see it."""
    network = picture.network
    sites = "; ".join(
        f"{name}: {', '.join(member.name for member in members[:MOST_NAMED])}"
        + (f" and {len(members) - MOST_NAMED} more" if len(members) > MOST_NAMED else "")
        for name, members in picture.members.items()
    )
    ways = "; ".join(f"{_MEANING[way]}: {tunnels:,}" for way, tunnels in picture.counts().items())
    nodes = f"{count(len(network.members), 'node')} at {count(len(picture.sites), 'site')}"
    tested = f" {_describe_links(links)}" if links else ""
    return f"{nodes}, {count(picture.tunnel_count, 'tunnel')} ({ways}). {sites}.{tested}"


def _describe_links(links: Links) -> str:
    """What the states of the lines come to, and which of them do not hold."""
    worst = [
        f"{verdict}: {', '.join(ends[:MOST_NAMED])}"
        + (f" and {len(ends) - MOST_NAMED} more" if len(ends) > MOST_NAMED else "")
        for verdict in (Verdict.FALSIFIED, Verdict.UNKNOWN)
        if (ends := [_ends(key) for key, state in links.lines.items() if state.verdict is verdict])
    ]
    return ". ".join([f"Tunnels: {links.total or 'none'}", *worst]) + "."


def _ends(key: LineKey) -> str:
    _, near, far = key
    return f"{near} ↔ {far}" if near and far else near or far


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


def _site(place: PlacedSite, picture: Picture, links: Links | None) -> Iterator[str]:
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
            x = box.x + PADDING + 2
            state = links.lines[bundle.way, site.name, site.name] if links else None
            look = _look(bundle.way, state)
            yield f'<path class="line sample {look}" d="M{number(x)} {number(y - 4)}h24"/>'
            if state is None or state.verdict not in MARKED:
                yield _write(x + 31, y, "small soft", f"{count(bundle.count, 'tunnel')} inside")
            else:
                yield _use(state.verdict, x + 12, y - 4)
                told = f"{state.count(state.verdict):,} of {count(bundle.count, 'tunnel')} inside"
                yield _write(x + 31, y, "small soft", told)
    yield "</g>"


def _look(way: Way, state: Tally | None) -> str:
    """The classes of a line: how its ends reach each other, and its state, if anybody looked."""
    return way if state is None else f"{way} {state.verdict or 'untested'}"


def _worst_last(lines: Iterable[Line], links: Links | None) -> Iterable[Line]:
    """What is drawn later lies above: there nobody overlooks it."""
    if links is None:
        return lines
    order = [None, *reversed(WORST_FIRST)]
    return sorted(lines, key=lambda line: order.index(links.lines[line.key].verdict))


def _line(line: Line, detail: Detail, links: Links | None) -> str:
    kind, mark = ("tunnel", "arrow") if detail is Detail.TUNNELS else ("bundle", "big-arrow")
    state = links.lines[line.key] if links else None
    arrow = f' marker-end="url(#wireloom-{mark})"' if line.way is Way.ONE_WAY else ""
    width = f' stroke-width="{number(line.width)}"' if line.width is not None else ""
    ends = f"data-near={_attribute(line.near)} data-far={_attribute(line.far)}"
    title = line.title if state is None else f"{line.title}: {_say(state)}"
    return (
        f'<path class="line {kind} {_look(line.way, state)}" {ends}{width}{arrow} d="{line.path}">'
        f"<title>{_text(title)}</title></path>"
    )


def _say(state: Tally) -> str:
    """The state of one tunnel is a word, of several a count."""
    one = state.tested + state.untested == 1
    return (state.verdict or "not tested") if one else str(state)


def _badges(sheet: Sheet, lines: Iterable[Line], links: Links) -> Iterator[str]:
    """A mark on every line that does not hold, clear of the others where there is room, and on such nodes."""
    placed: list[tuple[float, float]] = []
    for line in lines:
        state = links.lines[line.key]
        if state.verdict not in MARKED:
            continue
        spots = [line.curve.at(share) for share in BADGE_SPOTS]
        clear = (spot for spot in spots if all(math.dist(spot, other) > BADGE_ROOM for other in placed))
        placed.append(next(clear, spots[0]))
        yield _badge(state, *placed[-1])
    for node in (node for site in sheet.sites for node in site.nodes):
        if node.member.name in links.nodes:
            yield _use(links.nodes[node.member.name], node.box.x + 1, node.box.y + 1)


def _badge(state: Tally, x: float, y: float) -> str:
    """The worst mark, with the number of tunnels that have it where a line stands for several."""
    assert state.verdict is not None  # noqa: S101  # a line that was not tested has no mark
    mark = _use(state.verdict, x, y)
    if state.tested + state.untested == 1:
        return mark
    return mark + _write(x + 11, y + 4, "badge-count", f"{state.count(state.verdict):,}")


def _role(member: Member) -> str:
    return next((mark for role, mark in _ROLES.items() if role in member.roles), _OTHER_ROLE)


def _card(node: PlacedNode, detail: Detail, links: Links | None) -> Iterator[str]:
    member, box = node.member, node.box
    rows = [address_line(member)] if detail is Detail.TUNNELS else [str(one.ip) for one in member.interfaces]
    roomy = detail is Detail.TUNNELS
    yield f"<g data-node={_attribute(member.name)}>{_rect('card', box, 7)}"
    state = links.nodes.get(member.name) if links else None
    yield f"<title>{_text(_card_title(member) + (f': {state}' if state else ''))}</title>"
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
    """One line of the legend: a mark, or the line of a way or a state, and what it means."""

    text: str
    way: Way | None = None
    mark: str = ""
    state: str = ""

    @property
    def indent(self) -> float:
        """Where the text begins: a line or the NAT mark is wider than the other marks."""
        return 40.0 if self.way is not None or self.state or self.mark == "nat" else 22.0


def _entries(picture: Picture, links: Links | None) -> Iterator[_Entry]:
    """What occurs in the picture and needs a word."""
    if links is not None:
        yield from _state_entries(links)
    for way, tunnels in picture.counts().items():
        yield _Entry(f"{_MEANING[way]}: {tunnels:,}", way=way)
    members = picture.network.members.values()
    present = {_role(member) for member in members}
    yield from (_Entry(text, mark=mark) for mark, text in _ROLE_MEANING.items() if mark in present)
    if any(member.nat for member in members):
        yield _Entry("can't be dialled from outside", mark="nat")
    if picture.between and picture.detail is not Detail.TUNNELS:
        yield _Entry(f"{picture.detail.value}, with the number of tunnels", mark="more")


def _state_entries(links: Links) -> Iterator[_Entry]:
    """What became of the tunnels, worst first."""
    total = links.total
    for verdict in WORST_FIRST:
        if total.count(verdict) or verdict in links.nodes.values():
            yield _Entry(
                f"{verdict}: {total.count(verdict):,}",
                state=verdict,
                mark=verdict if verdict in MARKED else "",
            )
    if total.untested:
        yield _Entry(f"not tested: {total.untested:,}", state="untested")


def _legend(sheet: Sheet, links: Links | None) -> tuple[list[str], float]:
    """The parts of the legend, and the height of the whole picture."""
    entries = list(_entries(sheet.picture, links))
    widths = (entry.indent + prose_width(entry.text, 12) for entry in entries)
    spots = flow(widths, sheet.width - 2 * MARGIN, LEGEND_STEP, 18)
    top = sheet.bottom + LEGEND_ROOM
    parts = []
    for entry, (dx, dy) in zip(entries, spots, strict=True):
        x, y = MARGIN + dx, top + dy
        if entry.state:
            parts.append(f'<path class="line sample {entry.state}" d="M{number(x)} {number(y)}h30"/>')
            parts += [_use(entry.mark, x + 15, y)] if entry.mark else []
        elif entry.way is Way.ONE_WAY:
            start = f"M{number(x)} {number(y)}h22"
            parts.append(f'<path class="line sample one-way" marker-end="url(#wireloom-arrow)" d="{start}"/>')
        elif entry.way is not None:
            parts.append(f'<path class="line sample {entry.way}" d="M{number(x)} {number(y)}h30"/>')
        else:
            parts.append(_use(entry.mark, x, y - (8 if entry.mark == "nat" else 7)))
        parts.append(_write(x + entry.indent, y + 4, "legend soft", entry.text))
    return parts, top + max((dy for _, dy in spots), default=0.0) + MARGIN
