"""What is written in a drawing, and how much room it takes. Lengths are in SVG user units."""

from collections.abc import Iterable

from wireloom.intent.fleet import Site
from wireloom.network.network import Member
from wireloom.report.tunnels import Spoke
from wireloom.values import SiteName


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


def address_line(member: Member) -> str:
    """The underlay addresses of a node, side by side."""
    return " · ".join(str(interface.ip) for interface in member.interfaces)


def range_line(site: Site) -> str:
    """The private ranges of a site, as many as fit."""
    if not site.private:
        return "no private range"
    more = f" +{len(site.private) - 2}" if len(site.private) > 2 else ""
    return ", ".join(str(prefix) for prefix in site.private[:2]) + more


def port_label(other: SiteName, count: int) -> str:
    """What stands at the end of a line to another site."""
    return f"{shorten(other, 22)} {count:,}"


def spoke_label(spoke: Spoke) -> str:
    """What stands at the end of a line to all other sites."""
    towards = "to" if spoke.dials else "from"
    return f"{spoke.count:,} {towards} {spoke.sites} site{'s' if spoke.sites > 1 else ''}"
