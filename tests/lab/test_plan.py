from ipaddress import ip_interface
from itertools import chain

import pytest

from tests.lab.fleets import fleet, node, site, three_places
from wireloom.lab.plan import Role, crowded, link_name, plan_lab

KEY = "ssh-ed25519 AAAA operator"


def _space(plan, name):
    return next(one for one in plan.namespaces if one.name == name)


def _addresses(plan, namespace):
    """Interface → addresses, without the link-local ones."""
    return {
        port.name: [str(one) for one in port.addresses if not one.is_link_local]
        for port in _space(plan, namespace).ports
        if port.name != "lo"
    }


def _routes(plan, namespace):
    return {(str(one.to), one.device, str(one.via)) for one in _space(plan, namespace).routes}


def _wall(plan, site_name):
    wall = _space(plan, f"site-{site_name}").firewall
    return {
        part: [str(one) for one in getattr(wall, part)]
        for part in ("dialable", "routable", "masked", "outside")
    }


def test_the_same_fleet_gives_the_same_plan():
    assert plan_lab(three_places(), KEY) == plan_lab(three_places(), KEY)


def test_every_machine_is_in_the_order_of_the_fleet():
    assert list(plan_lab(three_places(), KEY).machines) == ["cp1", "w1", "cp2", "inner", "build1", "bare"]


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        ("node-cp1", {"eth0": ["203.0.113.10/32", "2001:db8::10/128"], "eth1": ["10.0.0.2/16"]}),
        ("node-cp2", {"eth0": ["198.51.100.20/32", "2001:db8:1::20/128"], "eth1": ["10.0.0.2/16"]}),
        ("node-inner", {"eth1": ["10.0.0.3/16"]}),
        ("node-build1", {"eth1": ["192.168.178.40/24", "fd00:178::40/64"]}),
        ("node-bare", {"eth1": ["192.168.178.253/24", "fd00:178:0:0:ffff:ffff:ffff:fffd/64"]}),
        ("operator", {"eth0": ["192.0.2.254/32", "2001:db8:ffff::1/128"]}),
    ],
)
def test_addresses(namespace, expected):
    got = _addresses(plan_lab(three_places(), KEY), namespace)
    assert {name: [ip_interface(one) for one in own] for name, own in got.items()} == {
        name: [ip_interface(one) for one in own] for name, own in expected.items()
    }


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        pytest.param(
            "node-cp1",
            {("0.0.0.0/0", "eth0", "169.254.0.1"), ("::/0", "eth0", "fe80::1")},
            id="dual stack, public",
        ),
        pytest.param("node-w1", {("0.0.0.0/0", "eth0", "169.254.0.1")}, id="IPv4 only, public"),
        pytest.param("node-inner", {("0.0.0.0/0", "eth1", "10.0.255.254")}, id="private only"),
        pytest.param(
            "node-build1",
            {
                ("0.0.0.0/0", "eth1", "192.168.178.254"),
                ("::/0", "eth1", "fd00:178::ffff:ffff:ffff:fffe"),
            },
            id="dual stack, behind NAT",
        ),
    ],
)
def test_routes_of_machines(namespace, expected):
    assert _routes(plan_lab(three_places(), KEY), namespace) == expected


def test_an_ipv6_only_machine_has_no_ipv4_route():
    plan = plan_lab(fleet(node("six", "x", "2001:db8::6"), sites=(site("x"),)), KEY)
    assert _routes(plan, "node-six") == {("::/0", "eth0", "fe80::1")}


def test_the_other_range_of_a_site_is_reached_by_the_router_on_the_private_side():
    plan = plan_lab(
        fleet(
            node("a", "x", "203.0.113.1", "10.0.0.2"),
            node("b", "x", "203.0.113.2", "10.1.0.2"),
            sites=(site("x", "10.0.0.0/24", "10.1.0.0/24"),),
        ),
        KEY,
    )
    assert ("10.1.0.0/24", "eth1", "10.0.0.254") in _routes(plan, "node-a")


def test_private_ranges_are_not_known_on_the_internet():
    known = _routes(plan_lab(three_places(), KEY), "internet")
    assert not [to for to, _, _ in known if to.startswith(("10.", "192.168.", "fd"))]


def test_the_internet_knows_where_each_public_address_lives():
    known = {(to, device) for to, device, _ in _routes(plan_lab(three_places(), KEY), "internet")}
    assert {
        ("203.0.113.10/32", "to-fsn"),
        ("2001:db8::10/128", "to-fsn"),
        ("198.51.100.20/32", "to-ams"),
    } <= known


@pytest.mark.parametrize(
    ("site_name", "expected"),
    [
        pytest.param(
            "office",
            {"dialable": [], "routable": [], "outside": ["192.0.2.250", "2001:db8:ffff::5"]},
            id="nobody dials into a NATed office",
        ),
        pytest.param(
            "ams",
            {
                "dialable": ["198.51.100.20", "2001:db8:1::20"],
                "routable": ["198.51.100.20", "2001:db8:1::20"],
                "masked": [],
            },
            id="private only without NAT gets no internet",
        ),
    ],
)
def test_firewalls(site_name, expected):
    assert expected.items() <= _wall(plan_lab(three_places(), KEY), site_name).items()


def test_machines_behind_nat_leave_as_the_router():
    masked = _wall(plan_lab(three_places(), KEY), "office")["masked"]
    assert masked[:2] == ["192.168.178.40", "fd00:178::40"]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        pytest.param(
            node("a", "x", "203.0.113.1", nat=True),
            {"dialable": [], "routable": ["203.0.113.1"], "masked": []},
            id="its public address can't be dialled",
        ),
        pytest.param(
            node("a", "x", "10.0.0.2", nat=True),
            {"dialable": [], "routable": [], "masked": ["10.0.0.2"]},
            id="its private address leaves as the router's",
        ),
    ],
)
def test_a_nat_machine_in_a_site_without_nat(machine, expected):
    plan = plan_lab(fleet(machine, sites=(site("x", "10.0.0.0/24"),)), KEY)
    assert expected.items() <= _wall(plan, "x").items()


LAN = (site("x", "10.0.0.0/24"),)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        pytest.param(
            node("a", "x", "203.0.113.1"),
            ("operator", "203.0.113.1", 22),
            id="public: from the operator's place",
        ),
        pytest.param(
            node("a", "x", "203.0.113.1", "10.0.0.2", ssh="10.0.0.2", port=2222),
            ("site-x", "10.0.0.2", 2222),
            id="private: from the site's router, at its own port",
        ),
        pytest.param(
            node("a", "x", "10.0.0.2", "203.0.113.1", "203.0.113.2", ssh="203.0.113.2"),
            ("operator", "203.0.113.2", 22),
            id="the very address that ssh is told",
        ),
        pytest.param(
            node("a", "x", "10.0.0.2", "203.0.113.1", ssh="a.example.net"),
            ("operator", "203.0.113.1", 22),
            id="a name: the first public address",
        ),
        pytest.param(
            node("a", "x", "10.0.0.2", ssh="10.99.0.7"),
            ("site-x", "10.0.0.2", 22),
            id="an address the lab doesn't know: its private one",
        ),
        pytest.param(
            node("a", "x", "203.0.113.1", nat=True),
            ("site-x", "203.0.113.1", 22),
            id="public behind NAT: from the router, nobody else gets in",
        ),
        pytest.param(node("a", "x"), ("site-x", "10.0.0.253", 22), id="no address, no ssh"),
    ],
)
def test_where_the_operator_dials_a_machine(machine, expected):
    got = plan_lab(fleet(machine, sites=LAN), KEY).machines["a"]
    assert (got.vantage, str(got.address), got.ssh_port) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cp1", "pub-cp1"), ("elevenchars", "pub-elevenchars"), ("twelve-chars", "pub7")],
)
def test_names_of_links(name, expected):
    assert link_name("pub", name, 7) == expected


def test_no_interface_name_is_too_long_or_twice_in_a_namespace():
    long = [
        node(f"a-node-with-a-long-name-{n}", "a-site-with-a-long-name", f"203.0.113.{n}") for n in range(1, 9)
    ]
    plan = plan_lab(fleet(*long, sites=(site("a-site-with-a-long-name"),)), KEY)
    for one in plan.namespaces:
        names = [port.name for port in one.ports]
        assert (max(map(len, names)) <= 15, len(set(names))) == (True, len(names))


def test_every_cable_ends_in_a_port_that_exists():
    plan = plan_lab(three_places(), KEY)
    ports = {(one.name, port.name) for one in plan.namespaces for port in one.ports}
    ends = list(chain.from_iterable((cable.left, cable.right) for cable in plan.cables))
    assert (set(ends) <= ports, len(ends)) == (True, len(set(ends)))


def test_a_node_named_like_a_router_is_another_namespace():
    plan = plan_lab(fleet(node("internet", "x", "203.0.113.1"), sites=(site("x"), site("operator"))), KEY)
    names = [one.name for one in plan.namespaces]
    assert len(names) == len(set(names))


def test_one_router_per_site():
    plan = plan_lab(three_places(), KEY)
    assert [one.name for one in plan.namespaces if one.role is Role.ROUTER] == [
        "site-fsn",
        "site-ams",
        "site-office",
    ]


@pytest.mark.parametrize(("count", "expected"), [(30, ()), (31, ("x",))])
def test_a_warning_where_the_neighbour_table_may_run_full(count, expected):
    many = [node(f"n{n}", "x", f"10.0.0.{n}") for n in range(1, count + 1)]
    assert crowded(fleet(*many, sites=LAN)) == expected
