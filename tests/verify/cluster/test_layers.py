"""What machines say of keys, ways and sizes: read, and judged."""

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.network.fleets import key
from tests.verify.cluster.cluster import CP1, GATEWAY, MACHINE, MEMBERS, POD, READING, W1, intended, member
from wireloom.cluster.seen import Member
from wireloom.values import Endpoint, NodeName
from wireloom.verify.cluster.layers import judge_layers
from wireloom.verify.cluster.reading import Device, Reading, Way, read_reading, reading_script

MARK = "wireloom-5eed"
PUBLIC = ip_address("192.0.2.2")


def told(
    reading: Reading | None,
    encrypt: str = "underlay",
    backend: str | None = "vxlan",
    members: Mapping[NodeName, Member] = MEMBERS,
) -> dict[str, tuple[str, str]]:
    """The claims of cp1, by kind."""
    readings = {} if reading is None else {CP1: reading}
    claims = judge_layers(intended(encrypt, backend), members, readings, {CP1: [W1]})
    return {one.claim: (str(one.verdict), one.detail) for one in claims}


def devices(**changed: Device) -> Reading:
    """``flannel_1`` stands for flannel.1."""
    named = {name.replace("_", "."): device for name, device in changed.items()}
    return replace(READING, devices={**READING.devices, **named})


def ways(**changed: str) -> Reading:
    """Another device to the ``pod`` or the ``machine``."""
    places = {"pod": POD, "machine": MACHINE}
    others = {
        places[name]: replace(READING.ways[places[name]], device=device) for name, device in changed.items()
    }
    return replace(READING, ways={**READING.ways, **others})


NATIVE = Reading(
    devices={
        "eth0": Device(1500),
        "wg0": Device(1420),
        "veth1": Device(1340, bridge="cni0"),
        "flannel-wg": Device(1340),
    },
    ways={POD: Way("flannel-wg"), MACHINE: Way("eth0")},
    keys={"flannel-wg": key(11)},
    endpoints={key(12): Endpoint(ip_address("192.0.2.2"), 51820)},
)
BOTH = replace(
    NATIVE,
    ways={POD: Way("flannel-wg"), MACHINE: Way("wg0")},
    endpoints={key(12): Endpoint(ip_address("10.99.0.2"), 51820)},
)

WAYS = {
    "vxlan over the underlay": (
        told(READING),
        ("holds", "to its pods by flannel.1 over wg0; to the machine itself by wg0"),
    ),
    "vxlan beside it": (
        told(replace(READING, remotes={GATEWAY: PUBLIC}, ways={**READING.ways, PUBLIC: Way("eth0")})),
        ("falsified", "flannel.1 sends to 192.0.2.2 by eth0, beside wg0"),
    ),
    "vxlan to nowhere": (
        told(replace(READING, remotes={GATEWAY: PUBLIC}, ways={**READING.ways, PUBLIC: Way()})),
        ("falsified", "flannel.1 sends to 192.0.2.2, and there is no way to that"),
    ),
    "vxlan to somewhere": (
        told(replace(READING, remotes={})),
        ("unknown", "where flannel.1 sends it is not told"),
    ),
    "the device that it was made on says nothing": (
        told(devices(flannel_1=Device(1370, "eth0", ip_address("192.0.2.1")))),
        ("holds", "to its pods by flannel.1 over wg0; to the machine itself by wg0"),
    ),
    "no route to the pods": (told(ways(pod="")), ("falsified", "no way to its pods (10.42.1.0/24)")),
    "another route": (
        told(ways(pod="eth0")),
        ("falsified", "to its pods by eth0, not by flannel.1 or flannel-v6.1"),
    ),
    "the machine beside": (
        told(ways(machine="eth0")),
        (
            "falsified",
            "flannel.1 sends to 10.99.0.2 by eth0, beside wg0; to the machine itself by eth0, not by wg0",
        ),
    ),
    "host-gw": (
        told(ways(pod="wg0"), backend="host-gw"),
        ("holds", "to its pods by wg0; to the machine itself by wg0"),
    ),
    "host-gw beside": (
        told(ways(pod="eth0"), backend="host-gw"),
        ("falsified", "to its pods by eth0, not by wg0"),
    ),
    "wireguard-native": (
        told(NATIVE, "cni", "wireguard-native"),
        ("holds", "to its pods by flannel-wg, at 192.0.2.2:51820; to the machine itself by eth0"),
    ),
    "both": (
        told(BOTH, "both", "wireguard-native"),
        (
            "holds",
            "to its pods by flannel-wg over wg0, at 10.99.0.2:51820; to the machine itself by wg0",
        ),
    ),
    "both, the inner one beside the outer": (
        told(replace(NATIVE, ways=BOTH.ways), "both", "wireguard-native"),
        ("falsified", "flannel-wg sends to 192.0.2.2:51820, beside wg0"),
    ),
    "no pod range": (
        told(READING, members={**MEMBERS, W1: member(1, pods=())}),
        ("unknown", "the cluster tells no pod range of it"),
    ),
    "nothing told": (told(Reading()), ("unknown", "it did not tell")),
    "not asked": (told(None), ("unknown", "it did not tell")),
}


@pytest.mark.parametrize(("claims", "expected"), WAYS.values(), ids=WAYS)
def test_the_way_is_the_one_that_it_should_be(
    claims: dict[str, tuple[str, str]], expected: tuple[str, str]
) -> None:
    assert claims["pod-way"] == expected


SIZES = {
    "they fit": (told(READING), ("holds", "pods 1370, flannel.1 1370, wg0 1420")),
    "made before the underlay had its size": (
        told(devices(flannel_1=Device(1450, "wg0", ip_address("10.99.0.1")))),
        (
            "falsified",
            "flannel.1 takes 1450 bytes, wg0 has room for 1370 of them:"
            " restart k3s there once the MTU of wg0 is right",
        ),
    ),
    "VXLAN over IPv6 adds more": (
        told(devices(flannel_1=Device(1370, "wg0", ip_address("fd42::1"))))["pod-mtu"][0],
        "falsified",
    ),
    "no pod there": (
        told(devices(veth1=Device(1500))),
        ("holds", "flannel.1 1370, wg0 1420"),
    ),
    "pods that are too large": (
        told(devices(veth1=Device(1450, bridge="cni0"))),
        ("falsified", "pods send up to 1450 bytes, and flannel.1 takes 1370"),
    ),
    "twice": (
        told(BOTH, "both", "wireguard-native"),
        ("holds", "pods 1340, flannel-wg 1340, wg0 1420"),
    ),
    "no device": (told(Reading()), ("unknown", "no flannel.1 there")),
}


@pytest.mark.parametrize(("claims", "expected"), SIZES.values(), ids=SIZES)
def test_each_layer_leaves_room_for_the_next(claims: object, expected: object) -> None:
    assert (claims["pod-mtu"] if isinstance(claims, dict) else claims) == expected


def keys(reading: Reading, members: Mapping[NodeName, Member] = MEMBERS) -> tuple[str, str]:
    return told(reading, "cni", "wireguard-native", members)["flannel-keys"]


KEYS = {
    "as published": (keys(NATIVE), ("holds", f"{key(11)}, and 1 peer by their published keys")),
    "another than published": (
        keys(NATIVE, {**MEMBERS, CP1: member(0, flannel_key=key(99))}),
        ("falsified", f"published is {key(99)}, and flannel-wg has {key(11)}"),
    ),
    "published by nobody": (
        keys(NATIVE, {**MEMBERS, CP1: member(0, flannel_key=None)}),
        ("falsified", "flannel has published no key for it"),
    ),
    "a peer is missing": (
        keys(replace(NATIVE, endpoints={})),
        ("falsified", "no peer with the published key of w1"),
    ),
    "a stranger": (
        keys(replace(NATIVE, endpoints={**NATIVE.endpoints, key(66): None})),
        ("falsified", f"a peer whose key nobody published: {key(66)}"),
    ),
    "no interface": (keys(replace(NATIVE, keys={})), ("falsified", "no flannel-wg that has a key")),
}


@pytest.mark.parametrize(("claim", "expected"), KEYS.values(), ids=KEYS)
def test_published_keys_are_those_in_use(claim: tuple[str, str], expected: tuple[str, str]) -> None:
    assert claim == expected


def test_another_network_plugin_is_left_alone() -> None:
    assert told(READING, "cni", None) == {}


# --- what a machine prints ---------------------------------------------------------------------------


LINKS = json.dumps(
    [
        {"ifname": "lo", "mtu": 65536},
        {"ifname": "veth1", "mtu": 1370, "master": "cni0", "linkinfo": {"info_kind": "veth"}},
        {"ifname": "wg0", "mtu": 1420, "linkinfo": {"info_kind": "wireguard"}},
        {
            "ifname": "flannel.1",
            "mtu": 1370,
            "linkinfo": {
                "info_kind": "vxlan",
                "info_data": {"id": 1, "local": "10.99.0.1", "link": "wg0", "port": 8472},
            },
        },
    ]
)
ANSWER = f"""\

{MARK} devices
{LINKS}

{MARK} ways
way 10.42.1.2 10.42.1.2 via 10.42.1.0 dev flannel.1 src 10.42.0.0 uid 0 \\    cache
way 10.99.0.2 RTNETLINK answers: Network is unreachable

{MARK} remotes
neighbour 10.42.1.0 lladdr 02:00:00:00:00:02 PERMANENT
neighbour 10.42.2.0 lladdr 02:00:00:00:00:03 STALE
neighbour fe80::1  FAILED
forward 02:00:00:00:00:02 dst 192.0.2.2 self permanent
forward 33:33:00:00:00:01 self permanent
way 192.0.2.2 192.0.2.2 dev eth0 src 192.0.2.1 uid 0 \\    cache

{MARK} keys
key flannel-wg {key(11)}
peer {key(12)}	192.0.2.2:51820
peer {key(13)}	(none)

{MARK} end
"""


def test_an_answer_is_read() -> None:
    reading = read_reading(ANSWER, MARK)
    assert reading.devices["flannel.1"] == Device(1370, "wg0", ip_address("10.99.0.1"))
    assert reading.devices["wg0"] == Device(1420)
    assert reading.devices["veth1"] == Device(1370, bridge="cni0")
    assert reading.ways == {POD: Way("flannel.1", GATEWAY), MACHINE: Way(), PUBLIC: Way("eth0")}
    assert reading.remotes == {GATEWAY: PUBLIC}
    assert reading.keys == {"flannel-wg": key(11)}
    assert reading.endpoints == {key(12): Endpoint(ip_address("192.0.2.2"), 51820), key(13): None}


def test_an_answer_without_anything_is_empty() -> None:
    assert read_reading(f"\n{MARK} devices\n\n{MARK} end\n", MARK) == Reading()


@pytest.mark.parametrize(
    "text",
    ["", "sh: ip: not found", ANSWER[:-12], ANSWER.replace("[{", "[{{")],
    ids=["empty", "no ip", "cut", "garbage"],
)
def test_an_answer_that_makes_no_sense_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # JSON's is one, too
        read_reading(text, MARK)


def test_ways_to_nodes_are_asked_for_as_a_pod_would_take_them() -> None:
    script = reading_script(MARK, MEMBERS[CP1], [MEMBERS[W1]])
    assert "way 10.42.1.2\n" in script
    assert 'way 10.99.0.2 "${iif:+from 10.42.0.2 $iif}"\n' in script
