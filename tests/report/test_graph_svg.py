import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.graph_fleets import fleet, large, net, node, site, small
from wireloom.report.graph import draw_svg
from wireloom.report.layout import lay_out
from wireloom.report.lines import draw_lines
from wireloom.report.tunnels import compose

SVG = "{http://www.w3.org/2000/svg}"
ODD = "<b>&\"'`\\ \x00\x1b[31m\ud800\ufffe\u202e]]>-->"

FLEETS = {
    "two nodes": fleet(
        "pair",
        [site("home", nat=True), site("cloud")],
        [node("laptop", "home", nat=True), node("vps", "cloud", public="203.0.113.1")],
    ),
    "alone": fleet("alone", [site("dc")], [node("one", "dc", public="203.0.113.1")]),
    "every way": small(),
    "dual stack": small(dual=True),
    "sixteen": large(4, 4, nat_sites=1),
    "one site": large(1, 30),
    "six sites": large(6, 17, nat_sites=1),
    "eleven sites": large(11, 3, nat_sites=1),
    "long names": fleet(
        "f" * 40,
        [site("s" * 40, "10.0.0.0/8"), site("t" * 40, nat=True)],
        [
            node("n" * 39 + str(n), "s" * 40, public=f"192.0.2.{n + 1}", private=f"10.0.0.{n + 1}")
            for n in range(3)
        ]
        + [node("m" * 40, "t" * 40, nat=True, roles="k3s-agent")],
        dual=True,
    ),
}
every_fleet = pytest.mark.parametrize("one", FLEETS.values(), ids=FLEETS)


def draw(one):
    return draw_svg(net(one), one.sites)


def tree(one):
    return ElementTree.fromstring(draw(one))


def attributes(root, name):
    return [element.get(name) for element in root.iter() if element.get(name) is not None]


def overlap(a, b):
    return a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom


def within(inner, outer):
    return (
        outer.x <= inner.x
        and inner.right <= outer.right + 0.01
        and outer.y <= inner.y
        and inner.bottom <= outer.bottom + 0.01
    )


def test_a_small_picture_stays_as_it_is(snapshot):
    assert snapshot == draw(small())


@every_fleet
def test_every_node_is_drawn_once(one):
    assert sorted(one.nodes) == sorted(attributes(tree(one), "data-node"))


@every_fleet
def test_every_site_is_drawn_once(one):
    assert sorted(one.sites) == sorted(attributes(tree(one), "data-site"))


@pytest.mark.parametrize("name", ["two nodes", "every way", "dual stack", "sixteen", "long names"])
def test_every_tunnel_of_a_small_fleet_is_drawn_once(name):
    root = tree(FLEETS[name])
    drawn = [frozenset((line.get("data-near"), line.get("data-far"))) for line in root.iter(f"{SVG}path")]
    drawn = [pair for pair in drawn if None not in pair]
    count = len(FLEETS[name].nodes)
    assert (count * (count - 1) // 2, len(drawn)) == (len(set(drawn)), len(set(drawn)))


def test_only_one_way_tunnels_carry_an_arrow_and_it_points_at_who_is_dialled():
    arrows = {
        (line.get("data-near"), line.get("data-far"))
        for line in tree(small()).iter(f"{SVG}path")
        if line.get("marker-end") and line.get("data-near")
    }
    assert arrows == {(nas, far) for nas in ("nas1", "nas2") for far in ("cp1", "w1", "db1", "db2")}


def test_a_bundle_says_how_many_tunnels_it_stands_for():
    texts = [element.text for element in tree(FLEETS["six sites"]).iter(f"{SVG}text")]
    assert texts.count("dc1 289") == 5


def test_tunnels_inside_a_large_site_are_counted_in_its_box():
    texts = [element.text for element in tree(FLEETS["one site"]).iter(f"{SVG}text")]
    assert "435 tunnels inside" in texts


def test_the_header_states_the_facts_of_the_network():
    texts = [element.text for element in tree(small(dual=True)).iter(f"{SVG}text")]
    start = texts.index("shop")
    assert texts[start : start + 10] == [
        "shop",
        *("INTERFACE", "wg0", "UNDERLAY", "10.99.0.0/16, fd42:99::/64", "UDP PORT", "51820", "MTU", "1440"),
        "NODES",
    ]


def test_what_flannel_makes_has_the_ranges_of_pods():
    network = replace(net(small()), under=False)
    texts = [one.text for one in ElementTree.fromstring(draw_svg(network, small().sites)).iter(f"{SVG}text")]
    assert texts[texts.index("PODS") + 1] == "10.99.0.0/16"
    assert "UNDERLAY" not in texts


def dc(*, nat_site):
    """One node that can be dialled and one that can't."""
    return fleet(
        "mixed",
        [site("dc", "10.0.0.0/24", nat=nat_site)],
        [
            node("a", "dc", public="192.0.2.1", private="10.0.0.1"),
            node("b", "dc", private="10.0.0.2", nat=True),
        ],
    )


LAPTOP = fleet(
    "laptop",
    [site("home"), site("dc")],
    [node("laptop", "home", nat=True), node("vps", "dc", public="192.0.2.1")],
)


@pytest.mark.parametrize(
    ("marked", "one"),
    [
        pytest.param(["dc/b"], dc(nat_site=False), id="only the node is behind NAT"),
        pytest.param(["dc", "dc/b"], dc(nat_site=True), id="the site is, one of its nodes not"),
        pytest.param(["home/laptop"], LAPTOP, id="all nodes are, but the site says nothing"),
        pytest.param(["office"], small(), id="the site is, with all its nodes"),
    ],
)
def test_nat_is_marked_where_it_is_and_not_twice(marked, one):
    found = []
    for group in tree(one).iter(f"{SVG}g"):
        name = group.get("data-site") or group.get("data-node")
        if name and any(use.get("href") == "#wireloom-nat" for use in group.iter(f"{SVG}use")):
            found.append(name if group.get("data-site") else f"{one.nodes[name].site}/{name}")
    assert found == marked


@every_fleet
def test_boxes_and_cards_do_not_overlap(one):
    sheet = lay_out(compose(net(one), one.sites))
    boxes = [place.box for place in sheet.sites] + list(sheet.internets)
    cards = [card.box for place in sheet.sites for card in place.nodes]
    clashes = [
        (a, b) for group in (boxes, cards) for n, a in enumerate(group) for b in group[:n] if overlap(a, b)
    ]
    assert clashes == []


@every_fleet
def test_cards_stay_in_their_box_and_clear_of_the_list_of_ports(one):
    for place in lay_out(compose(net(one), one.sites)).sites:
        assert all(within(card.box, place.box) for card in place.nodes)
        assert not any(overlap(card.box, place.ports) for card in place.nodes)


@every_fleet
def test_no_line_comes_near_a_name(one):
    """A curve stays within its control points, so it is enough that none of them lies on a card."""
    sheet = lay_out(compose(net(one), one.sites))
    written = [card.box for place in sheet.sites for card in place.nodes]
    written += [place.ports for place in sheet.sites if place.ports.width]
    lines, _ = draw_lines(sheet)
    for line in lines:
        numbers = list(map(float, re.findall(r"-?[\d.]+", line.path)))
        xs = numbers[0::2]
        assert [box for box in written if box.x + 0.1 < max(xs) and min(xs) < box.right - 0.1] == [], line


@every_fleet
def test_every_name_fits_its_card(one):
    sheet = lay_out(compose(net(one), one.sites))
    size = 13 if len(one.nodes) <= 16 else 11
    assert all(
        28 + len(card.label) * size * 0.6 <= card.box.width for place in sheet.sites for card in place.nodes
    )


@pytest.mark.parametrize(("sites", "each"), [(8, 50), (20, 20), (100, 4)])
def test_four_hundred_nodes_make_a_moderate_file(sites, each):
    assert len(draw(large(sites, each)).encode()) < 300_000


def test_the_same_network_gives_the_same_bytes():
    assert draw(large(12, 3)) == draw(large(12, 3))


def test_nothing_is_fetched_or_run():
    root = tree(FLEETS["six sites"])
    links = [link for link in attributes(root, "href") if not link.startswith("#")]
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert (set(), []) == (tags & {"script", "image", "foreignObject", "a"}, links)
    assert "@import" not in draw(small())


def test_who_can_not_see_it_is_told_in_words():
    root = tree(small())
    described = {element.get("id"): element.text for element in root if element.get("id")}
    assert root.get("aria-labelledby") == "wireloom-title wireloom-desc"
    assert described["wireloom-title"] == "WireGuard network of shop"
    assert described["wireloom-desc"].startswith("6 nodes at 3 sites, 15 tunnels (")


def test_dark_paper_is_provided_for():
    assert "@media (prefers-color-scheme:dark)" in draw(small())


def test_odd_names_come_out_as_text():
    one = fleet(ODD, [site(ODD)], [node(ODD, ODD, public="192.0.2.1"), node("b", ODD, public="192.0.2.2")])
    shown = [element.text for element in tree(one).iter(f"{SVG}text")]
    assert "<b>&\"'`\\ ��[31m���]]>-->" in shown


@settings(max_examples=50)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_name_gives_valid_xml(name, home, title):
    one = fleet(
        title, [site(home)], [node(name, home, public="192.0.2.1"), node("b", home, public="192.0.2.2")]
    )
    tree(one)


def test_a_network_of_nobody_is_an_empty_picture():
    nobody = replace(net(small()), members={}, views={})
    assert "shop" in draw_svg(nobody, small().sites)
