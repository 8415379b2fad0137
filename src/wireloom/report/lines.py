"""The lines of a drawing: from where to where, along which curve. Lengths are in SVG user units."""

from dataclasses import dataclass

from wireloom.grammar import count
from wireloom.report.layout import (
    PORT_HEIGHT,
    Box,
    PlacedNode,
    PlacedSite,
    Sheet,
    arc_depth,
)
from wireloom.report.lettering import port_label, spoke_label
from wireloom.report.tunnels import Bundle, Detail, Tunnel, Way
from wireloom.values import NodeName, SiteName

ARROW_ROOM = {Detail.TUNNELS: 11.5, Detail.SITE_PAIRS: 16.5, Detail.SITES: 16.5}
"""An arrow is drawn ahead of the end of its line, and its tip just touches the port."""

SPINE_WIDTH = 8.0

LineKey = tuple[Way, str, str]
"""How its ends reach each other, near and far; of the tunnels inside a site both are that site."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A cubic that leaves and arrives level; ``bends`` are the x of its control points. None: straight."""

    start: tuple[float, float]
    end: tuple[float, float]
    bends: tuple[float, float] | None = None

    @property
    def path(self) -> str:
        """The ``d`` of an SVG path that runs along it."""
        (x, y), (far_x, far_y) = self.start, self.end
        if self.bends is None:
            return f"M{number(x)} {number(y)}H{number(far_x)}"
        bend, far_bend = self.bends
        return (
            f"M{number(x)} {number(y)}"
            f"C{number(bend)} {number(y)} {number(far_bend)} {number(far_y)} {number(far_x)} {number(far_y)}"
        )

    def at(self, share: float) -> tuple[float, float]:
        """The point after that share of the way: 0 is the start, 1 the end."""
        (x, y), (far_x, far_y) = self.start, self.end
        bend, far_bend = self.bends or (x + (far_x - x) / 3, far_x - (far_x - x) / 3)
        rest = 1 - share
        near, bent, far_bent, far = rest**3, 3 * rest**2 * share, 3 * rest * share**2, share**3
        return (
            near * x + bent * bend + far_bent * far_bend + far * far_x,
            (near + bent) * y + (far_bent + far) * far_y,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One tunnel or one bundle. ``near`` and ``far`` are names of nodes or of sites; one-way: near dials.

    ``curve`` runs from near to far. ``width`` None: that of one tunnel.
    """

    way: Way
    near: str
    far: str
    title: str
    curve: Curve
    width: float | None = None

    @property
    def path(self) -> str:
        """The ``d`` of its SVG path."""
        return self.curve.path

    @property
    def key(self) -> LineKey:
        """What tells it from the other lines of a picture."""
        return self.way, self.near, self.far


@dataclass(frozen=True, slots=True)
class Port:
    """Where lines begin and end. ``direction``: +1 where they leave to the right, -1 to the left."""

    x: float
    y: float
    direction: int
    label: str = ""


def draw_lines(sheet: Sheet) -> tuple[list[Line], list[Port]]:
    """All lines of a sheet, and the ports that they end at, each once."""
    if sheet.picture.detail is Detail.TUNNELS:
        return _draw_tunnels(sheet)
    if sheet.picture.detail is Detail.SITE_PAIRS:
        return _draw_bundles(sheet)
    return _draw_spokes(sheet)


def number(value: float) -> str:
    """A length as short as it can be written, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def _draw_tunnels(sheet: Sheet) -> tuple[list[Line], list[Port]]:
    cards: dict[NodeName, tuple[PlacedSite, PlacedNode]] = {
        node.member.name: (site, node) for site in sheet.sites for node in site.nodes
    }
    ways: dict[NodeName, set[Way]] = {name: set() for name in cards}
    for tunnel in sheet.picture.tunnels:
        ways[tunnel.near].add(tunnel.way)
        ways[tunnel.far].add(tunnel.way)
    ports = {(name, way): _node_port(*cards[name], way, ways[name]) for name in cards for way in Way}
    lines = []
    for tunnel in sheet.picture.tunnels:
        near, far = ports[tunnel.near, tunnel.way], ports[tunnel.far, tunnel.way]
        if tunnel.way is Way.PRIVATE:
            home = [node.member.name for node in cards[tunnel.near][0].nodes]
            curve = _arc(near, far, arc_depth(abs(home.index(tunnel.near) - home.index(tunnel.far))))
        else:
            room = _arrow_room(tunnel.way, Detail.TUNNELS)
            curve = _crossing(near, far, cards[tunnel.near][0].internet, room)
        lines.append(Line(tunnel.way, tunnel.near, tunnel.far, _tunnel_title(tunnel), curve))
    used = {ports[name, way]: None for name in cards for way in Way if way in ways[name]}
    return lines, list(used)


def _node_port(site: PlacedSite, node: PlacedNode, way: Way, ways: set[Way]) -> Port:
    """Private tunnels leave a card on its outer side, the others on its inner side, arrows lower down."""
    card, direction = node.box, site.side.value
    if way is Way.PRIVATE:
        return Port(card.outer(site.side), card.middle, -direction)
    lower = {Way.PUBLIC: -7.0, Way.ONE_WAY: 7.0}[way] if {Way.PUBLIC, Way.ONE_WAY} <= ways else 0.0
    return Port(card.inner(site.side), card.middle + lower, direction)


def _tunnel_title(tunnel: Tunnel) -> str:
    if tunnel.way is Way.ONE_WAY:
        return f"{tunnel.near} dials {tunnel.far} at {tunnel.to_far}; {tunnel.far} can't dial {tunnel.near}"
    return f"{tunnel.near} ↔ {tunnel.far}, {tunnel.way} addresses: {tunnel.to_near} ↔ {tunnel.to_far}"


def _arc(near: Port, far: Port, depth: float) -> Curve:
    """A bow beside a column. A cubic's bulge is three quarters of the reach of its control points."""
    x = near.x + near.direction * depth / 0.75
    return Curve((near.x, near.y), (far.x, far.y), (x, x))


def _crossing(near: Port, far: Port, internet: Box | None, arrow_room: float) -> Curve:
    """A curve through the middle: an S to the other column, a bow to the same one.

    It leaves and arrives level, so that an arrow lies flat on its port.
    """
    room = internet.width if internet else 200.0
    end = far.x + far.direction * arrow_room
    if near.direction == far.direction:
        bulge = min(room * 0.8, 28.0 + abs(near.y - far.y) * 0.34)
        bend_near, bend_far = near.x + near.direction * bulge, far.x + far.direction * bulge
    else:
        bend_near = near.x + near.direction * room * 0.5
        bend_far = far.x + far.direction * room * 0.5
    return Curve((near.x, near.y), (end, far.y), (bend_near, bend_far))


def _arrow_room(way: Way, detail: Detail) -> float:
    return ARROW_ROOM[detail] if way is Way.ONE_WAY else 0.0


def _draw_bundles(sheet: Sheet) -> tuple[list[Line], list[Port]]:
    places = {site.site.name: site for site in sheet.sites}
    apart = sheet.picture.between
    ports: dict[tuple[SiteName, Bundle], Port] = {}
    for name, place in places.items():
        mine = [one for one in apart if name in (one.near, one.far)]
        ordered = sorted(mine, key=lambda one: _port_rank(place, places[_other(one, name)], one))
        for row, bundle in enumerate(ordered):
            ports[name, bundle] = _list_port(place, row, port_label(_other(bundle, name), bundle.count))
    lines = [
        Line(
            bundle.way,
            bundle.near,
            bundle.far,
            _bundle_title(bundle),
            _crossing(
                ports[bundle.near, bundle],
                ports[bundle.far, bundle],
                places[bundle.near].internet,
                _arrow_room(bundle.way, Detail.SITE_PAIRS),
            ),
            _thickness(bundle.count),
        )
        for bundle in apart
    ]
    return lines, list(ports.values())


def _other(bundle: Bundle, name: SiteName) -> SiteName:
    return bundle.far if bundle.near == name else bundle.near


def _port_rank(here: PlacedSite, there: PlacedSite, bundle: Bundle) -> tuple[int, float, str]:
    """The order of ports that makes few crossings: above me, across, below me.

    Bows to my own column nest: the nearest above is my topmost port, the nearest below my lowest.
    """
    across = here.side is not there.side
    if across:
        return 1, there.box.y, bundle.way
    if there.box.y < here.box.y:
        return 0, -there.box.y, bundle.way
    return 2, -there.box.y, bundle.way


def _list_port(place: PlacedSite, row: int, label: str) -> Port:
    y = place.ports.y + (row + 0.5) * PORT_HEIGHT
    return Port(place.box.inner(place.side), y, place.side.value, label)


def _bundle_title(bundle: Bundle) -> str:
    tunnels = count(bundle.count, "tunnel")
    if bundle.way is Way.ONE_WAY:
        return f"{tunnels}: nodes of {bundle.near} dial nodes of {bundle.far}, not the other way"
    return f"{tunnels} between {bundle.near} and {bundle.far}, by {bundle.way} addresses"


def _thickness(count: int) -> float:
    """From 1.5, half a unit more each time the number doubles, at most 6."""
    return min(6.0, 1.0 + 0.5 * count.bit_length())


def _draw_spokes(sheet: Sheet) -> tuple[list[Line], list[Port]]:
    """Every site's lines run level to the spine in the middle."""
    lines, ports = [], []
    for place in sheet.sites:
        spine = spine_x(place.internet) if place.internet else place.box.inner(place.side)
        for row, spoke in enumerate(sheet.picture.spokes[place.site.name]):
            port = _list_port(place, row, spoke_label(spoke))
            ports.append(port)
            room = _arrow_room(spoke.way, Detail.SITES)
            if spoke.dials:
                start, end = port.x, spine - port.direction * (SPINE_WIDTH / 2 + room)
            else:
                start, end = spine, port.x + port.direction * room
            lines.append(
                Line(
                    spoke.way,
                    spoke.site if spoke.dials else "",
                    "" if spoke.dials else spoke.site,
                    f"{spoke.site}: {count(spoke.count, 'tunnel')} to {count(spoke.sites, 'other site')}",
                    Curve((start, port.y), (end, port.y)),
                    _thickness(spoke.count),
                )
            )
    return lines, ports


def spine_x(internet: Box) -> float:
    """The middle of the internet, where lines of sites to all others meet."""
    return internet.x + internet.width / 2
