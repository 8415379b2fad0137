"""The topology of a fleet as a picture: SVG to look at, DOT for Graphviz and what reads its language."""

from collections.abc import Mapping

from wireloom.intent.fleet import Site
from wireloom.network.network import Network
from wireloom.report.dot import print_dot
from wireloom.report.layout import lay_out
from wireloom.report.svg import print_svg
from wireloom.report.tunnels import compose
from wireloom.values import SiteName


def draw_svg(network: Network, site_details: Mapping[SiteName, Site]) -> str:
    """The network as one self-contained SVG file: no scripts, no fonts or links to elsewhere.

    The same network always gives the same bytes. Sites are boxes on both sides of the internet, up to
    16 nodes have a line per tunnel, larger fleets a line per pair of sites with the number of tunnels.
    """
    return print_svg(lay_out(compose(network, site_details)))


def draw_dot(network: Network, site_details: Mapping[SiteName, Site]) -> str:
    """The network in the DOT language, a cluster per site, in the same detail as ``draw_svg``."""
    return print_dot(compose(network, site_details))
