import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.graph_fleets import fleet, large, net, node, site, small
from wireloom.report.graph import draw_dot

ODD = "<b>&\"'`\\N \x00\n{|}]; \\"

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def draw(one):
    return draw_dot(net(one), one.sites)


def parse(text, *, form="canon"):
    """What Graphviz makes of a DOT file; fails where it is not valid."""
    return subprocess.run(
        ["dot", f"-T{form}"], input=text, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_a_small_graph_stays_as_it_is(snapshot):
    assert snapshot == draw(small())


def test_every_node_is_defined_once():
    defined = re.findall(r'^ +"node (\S+)" \[', draw(large(3, 10)), re.MULTILINE)
    assert sorted(large(3, 10).nodes) == sorted(defined)


def test_every_tunnel_of_a_small_fleet_is_an_edge():
    assert draw(small()).count(" -> ") == 15


def test_an_edge_of_a_large_fleet_carries_its_number_of_tunnels():
    edges = re.findall(r'"site (\S+)" -> "site (\S+)" \[.*label=(\d+)\]', draw(large(3, 10, nat_sites=1)))
    assert edges == [("dc0", "dc1", "100"), ("dc2", "dc0", "100"), ("dc2", "dc1", "100")]


def test_many_sites_meet_at_the_internet():
    text = draw(large(11, 3, nat_sites=1))
    assert (text.count("-> internet"), text.count("internet -> ")) == (11, 10)


def test_only_one_way_tunnels_have_a_direction():
    assert draw(small()).count("dir=forward") == 8


@pytest.mark.parametrize(
    ("quoted", "name"),
    [
        ('"node a\\"b"', 'a"b'),
        ('"node a\\\\"', "a\\"),
        ('"node a\\\\N"', "a\\N"),
        ('"node a�b"', "a\nb"),
        ('"node a:n"', "a:n"),
    ],
)
def test_what_dot_would_misread_is_quoted(quoted, name):
    one = fleet(
        "odd", [site("dc")], [node(name, "dc", public="192.0.2.1"), node("z", "dc", public="192.0.2.2")]
    )
    assert f"{quoted} -> " in draw(one)


@needs_dot
@pytest.mark.parametrize("one", [small(), small(dual=True), large(3, 10), large(11, 3, nat_sites=1)])
def test_graphviz_reads_it(one):
    assert parse(draw(one)).startswith("digraph")


@needs_dot
def test_graphviz_shows_an_odd_name_as_it_is():
    one = fleet("odd", [site("dc")], [node('a\\N"<b>', "dc", public="192.0.2.1")])
    assert ">a\\N&quot;&lt;b&gt;</text>" in parse(draw(one), form="svg")


@needs_dot
@settings(max_examples=15)
@given(st.text(max_size=30), st.text(max_size=30))
def test_graphviz_reads_any_name(name, home):
    parse(draw(fleet(ODD, [site(home)], [node(name, home, public="192.0.2.1")])))
