"""A Picture in the DOT language of Graphviz (https://graphviz.org/doc/info/lang.html)."""

from collections.abc import Iterator

from wireloom.grammar import count
from wireloom.intent.fleet import Site
from wireloom.network.network import Member
from wireloom.report.tunnels import Bundle, Detail, Picture, Tunnel, Way
from wireloom.values import SiteName

_LOOK = {
    Way.PRIVATE: 'color="#00795a", style=dotted, penwidth=2',
    Way.PUBLIC: 'color="#0072b2", style=solid',
    Way.ONE_WAY: 'color="#b84300", style=dashed, dir=forward',
}
_SHAPES = {"k3s-server": "box3d", "k3s-agent": "box"}


def print_dot(picture: Picture) -> str:
    """Picture → DOT. Nodes are named ``node NAME``, what stands for a whole site ``site NAME``."""
    network = picture.network
    facts = [
        f"{network.interface} · {'' if network.under else 'pods '}{', '.join(map(str, network.ranges))}",
        f"UDP {network.port} · MTU {network.mtu}",
        f"{count(len(network.members), 'node')} · {count(picture.tunnel_count, 'tunnel')}",
    ]
    lines = [
        f"digraph {_quote(network.fleet)} {{",
        f"  graph [label={_label(network.fleet, *facts)}, labelloc=t, fontname=Helvetica,",
        "    rankdir=LR, ranksep=1.5, tooltip=wireloom];",
        "  node [fontname=Helvetica, fontsize=11, shape=box];",
        "  edge [fontname=Helvetica, fontsize=10, dir=none];",
    ]
    for number, (name, site) in enumerate(picture.sites.items()):
        lines += _cluster(number, site, picture.members[name], picture)
    if picture.detail is Detail.TUNNELS:
        lines += [_tunnel(tunnel) for tunnel in picture.tunnels]
    elif picture.detail is Detail.SITE_PAIRS:
        lines += [_bundle(bundle) for bundle in picture.between]
    else:
        lines += _spokes(picture)
    return "\n".join([*lines, "}"]) + "\n"


def _cluster(number: int, site: Site, members: tuple[Member, ...], picture: Picture) -> Iterator[str]:
    about = [", ".join(map(str, site.private)) or "no private range"]
    if site.nat:
        about.append("behind NAT")
    yield f"  subgraph cluster_{number} {{"
    if picture.detail is not Detail.TUNNELS:
        about += [
            f"{count(bundle.count, 'tunnel')} inside, {bundle.way}" for bundle in picture.inside[site.name]
        ]
        yield f"    {_site_id(site.name)} [label={_label(site.name)}, shape=ellipse, style=bold];"
    style = "dashed" if site.nat else "rounded"
    yield f"    label={_label(site.name, *about)}; style={style};"
    for member in members:
        yield f"    {_node_id(member.name)} [{_node_attributes(member, site)}];"
    yield "  }"


def _node_attributes(member: Member, site: Site) -> str:
    addresses = [str(interface.ip) for interface in member.interfaces]
    nat = ["behind NAT"] if member.nat and not site.nat else []
    shapes = [shape for role, shape in _SHAPES.items() if role in member.roles]
    shape = shapes[0] if shapes else "ellipse"
    return f"label={_label(member.name, *addresses, *member.roles, *nat)}, shape={shape}"


def _tunnel(tunnel: Tunnel) -> str:
    ends = [str(one) for one in (tunnel.to_far, tunnel.to_near) if one is not None]
    return (
        f"  {_node_id(tunnel.near)} -> {_node_id(tunnel.far)} [{_LOOK[tunnel.way]}, tooltip={_label(*ends)}];"
    )


def _bundle(bundle: Bundle) -> str:
    return f"  {_site_id(bundle.near)} -> {_site_id(bundle.far)} [{_LOOK[bundle.way]}, label={bundle.count}];"


def _spokes(picture: Picture) -> Iterator[str]:
    """Too many pairs of sites to draw: what each has with all others goes to one node, the internet."""
    yield "  internet [shape=doublecircle];"
    for name, spokes in picture.spokes.items():
        for spoke in spokes:
            ends = f"{_site_id(name)} -> internet" if spoke.dials else f"internet -> {_site_id(name)}"
            yield f"  {ends} [{_LOOK[spoke.way]}, label={spoke.count}];"


def _node_id(name: str) -> str:
    return _quote(f"node {name}")


def _site_id(name: SiteName) -> str:
    return _quote(f"site {name}")


def _quote(text: str) -> str:
    r"""A quoted ID. A label escapes with backslashes too (``\N`` is the node's name): doubled, it is none."""
    printable = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(*lines: str) -> str:
    """Text in lines, as one quoted string."""
    return '"' + "\\n".join(_quote(line)[1:-1] for line in lines) + '"'
