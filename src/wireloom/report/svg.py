"""A Sheet as an SVG file that stands by itself: readable in light and dark, and without colour."""

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from wireloom.network.network import Member
from wireloom.report.layout import (
    MARGIN,
    NAT_WIDTH,
    NOTE_HEIGHT,
    PADDING,
    Box,
    PlacedNode,
    PlacedSite,
    Sheet,
    Side,
    address_line,
    flow,
    prose_width,
    range_line,
    shorten,
)
from wireloom.report.lines import SPINE_WIDTH, Line, Port, draw_lines, number, spine_x
from wireloom.report.svg_style import MARKS, STYLE
from wireloom.report.tunnels import Detail, Picture, Way

LEGEND_ROOM = 30.0
LEGEND_STEP = 24.0

_MEANING = {
    Way.PRIVATE: "inside a site, by private address",
    Way.PUBLIC: "both dial, by public address",
    Way.ONE_WAY: "only one end dials: along the arrow",
}
_ROLES = {"k3s-server": "server", "k3s-agent": "agent"}
_OTHER_ROLE = "other"
_ROLE_MEANING = {"server": "k3s server", "agent": "k3s agent", _OTHER_ROLE: "not in Kubernetes"}


def print_svg(sheet: Sheet) -> str:
    """Sheet → the text of the file."""
    lines, ports = draw_lines(sheet)
    legend, height = _legend(sheet)
    width, height = number(sheet.width), number(height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wireloom" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" aria-labelledby="wireloom-title wireloom-desc">',
        f'<title id="wireloom-title">{_text(f"WireGuard network of {sheet.picture.network.fleet}")}</title>',
        f'<desc id="wireloom-desc">{_text(_describe(sheet.picture))}</desc>',
        f"<style>{STYLE}</style>",
        MARKS,
        '<rect class="paper" width="100%" height="100%"/>',
        *_header(sheet),
        *_internet(sheet),
        *(part for site in sheet.sites for part in _site(site, sheet.picture)),
        *(_line(line, sheet.picture.detail) for line in lines),
        *(part for site in sheet.sites for node in site.nodes for part in _card(node, sheet.picture.detail)),
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
    ways = ", ".join(f"{count:,} {_MEANING[way]}" for way, count in picture.counts().items())
    return (
        f"{len(network.members):,} nodes at {len(picture.sites)} sites, {picture.tunnel_count:,} tunnels ({ways}). "
        f"{sites}."
    )


MOST_NAMED = 16


def _header(sheet: Sheet) -> Iterator[str]:
    yield _write(MARGIN, MARGIN + 20, "fleet", sheet.picture.network.fleet)
    for (key, value), (x, y) in zip(sheet.facts, sheet.fact_spots, strict=True):
        top = MARGIN + 46 + y
        yield _write(MARGIN + x, top, "key soft", key)
        yield _write(MARGIN + x, top + 17, "fact", value)


def _internet(sheet: Sheet) -> Iterator[str]:
    """The space in the middle. Its name stands above every port, so no line crosses it."""
    box = sheet.internet
    if box is None:
        return
    yield _rect("internet", Box(box.x + 14, box.y, box.width - 28, box.height), 18)
    middle = box.x + box.width / 2
    yield _use("cloud", middle - 48, box.y + 14)
    yield _write(middle + 10, box.y + 29, "place soft", "internet")
    if sheet.picture.detail is Detail.SITES:
        x = spine_x(sheet)
        yield _rect("spine", Box(x - SPINE_WIDTH / 2, box.y + 44, SPINE_WIDTH, box.height - 56), 4)


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
            tunnels = f"{bundle.count:,} tunnel{'s' if bundle.count > 1 else ''} inside"
            x = box.x + PADDING + 2
            yield f'<path class="line {bundle.way}" stroke-width="2" d="M{number(x)} {number(y - 4)}h24"/>'
            yield _write(x + 31, y, "small soft", tunnels)
    yield "</g>"


def _line(line: Line, detail: Detail) -> str:
    kind, mark = ("tunnel", "arrow") if detail is Detail.TUNNELS else ("bundle", "big-arrow")
    arrow = f' marker-end="url(#wireloom-{mark})"' if line.way is Way.ONE_WAY else ""
    return (
        f'<path class="line {kind} {line.way}" data-{kind}={_attribute(f"{line.near} {line.far}")} '
        f'stroke-width="{number(line.width)}"{arrow} d="{line.path}"><title>{_text(line.title)}</title></path>'
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


def _legend(sheet: Sheet) -> tuple[list[str], float]:
    """What the marks mean, only those that occur, and the height of the whole picture."""
    picture = sheet.picture
    lines = [(way, f"{count:,} {_MEANING[way]}") for way, count in picture.counts().items()]
    present = {_role(member) for member in picture.network.members.values()}
    roles = [(mark, meaning) for mark, meaning in _ROLE_MEANING.items() if mark in present]
    texts = [text for _, text in lines] + [text for _, text in roles]
    nat = any(member.nat for member in picture.network.members.values())
    if nat:
        texts.append("behind NAT: can't be dialled from outside")
    room = sheet.width - 2 * MARGIN
    spots = flow((prose_width(text, 12) + 44 for text in texts), room, LEGEND_STEP, 18)
    top = sheet.bottom + LEGEND_ROOM
    parts = []
    for index, (text, (dx, dy)) in enumerate(zip(texts, spots, strict=True)):
        x, y = MARGIN + dx, top + dy
        if index < len(lines):
            way = lines[index][0]
            arrow = ' marker-end="url(#wireloom-arrow)"' if way is Way.ONE_WAY else ""
            parts.append(
                f'<path class="line {way}" stroke-width="2"{arrow} d="M{number(x)} {number(y)}h30"/>'
            )
        elif index < len(lines) + len(roles):
            parts.append(_use(roles[index - len(lines)][0], x + 16, y - 7))
        else:
            parts.append(_use("nat", x, y - 8))
        parts.append(_write(x + 40, y + 4, "legend soft", text))
    return parts, top + (spots[-1][1] if spots else 0) + MARGIN
