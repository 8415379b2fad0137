# ruff: noqa: E501 - a row of a table stays a row
"""Who begins the cluster and who joins where."""

import pytest

from tests.cluster.fleets import CP1, CP2, CP3, FAMILIES, W1, cluster, entries_of
from wireloom.cluster.settings import read_entry, same_settings

AT = {"cp1": "https://10.99.0.1:6443", "cp2": "https://10.99.0.2:6443", "cp3": "https://10.99.0.3:6443"}


def at(name: str) -> str:
    return f'node-name: "x"\nserver: "{AT[name]}"\n'


BEGAN = 'cluster-init: true\nnode-name: "x"\n'

# Who is inside, the settings that are there, and at whom cp1, cp2, cp3 and w1 join ("" begins).
CHOICES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "nobody is there": ("", {}, ["", "cp1", "cp1", "cp1"]),
    "the first one is there": ("cp1", {"cp1": BEGAN}, ["", "cp1", "cp1", "cp1"]),
    "all are there": (
        "cp1 cp2 cp3 w1",
        {"cp1": BEGAN, "cp2": at("cp1"), "cp3": at("cp1"), "w1": at("cp1")},
        ["", "cp1", "cp1", "cp1"],
    ),
    "who is there keeps its way": (
        "cp1 cp2 cp3 w1",
        {"cp1": at("cp3"), "cp2": at("cp3"), "cp3": BEGAN, "w1": at("cp2")},
        ["cp3", "cp3", "", "cp2"],
    ),
    "a first server that is new joins": ("cp2 w1", {"cp2": BEGAN, "w1": at("cp2")}, ["cp2", "", "cp2", "cp2"]),
    "the first one was replaced": ("cp2 cp3", {"cp2": at("cp1"), "cp3": at("cp1")}, ["cp2", "cp1", "cp1", "cp2"]),
    "settings of who is not there don't count": ("cp1", {"cp1": BEGAN, "cp2": at("cp3")}, ["", "cp1", "cp1", "cp1"]),
    "it joined at one that is gone": (
        "cp1 cp2",
        {"cp1": 'server: "https://10.99.0.99:6443"\n', "cp2": BEGAN},
        ["cp2", "", "cp1", "cp1"],
    ),
    "it names itself": ("cp1 cp2", {"cp1": at("cp1"), "cp2": BEGAN}, ["cp2", "", "cp1", "cp1"]),
    "its settings are lost": ("cp1", {}, ["", "cp1", "cp1", "cp1"]),
}  # fmt: skip


@pytest.mark.parametrize(("inside", "present", "expected"), CHOICES.values(), ids=CHOICES)
def test_who_joins_where(inside: str, present: dict[str, str], expected: list[str]) -> None:
    found = entries_of(cluster(CP1, CP2, CP3, W1), inside.split(), present)
    assert [entry.server or "" for entry in found.values()] == expected
    assert [entry.url for entry in found.values()] == [AT.get(name, "") for name in expected]


def test_an_ipv6_address_stands_in_brackets() -> None:
    fleet = cluster(CP1, W1, **FAMILIES["IPv6"])
    assert [entry.url for entry in entries_of(fleet).values()] == ["", "https://[fd42:99::1]:6443"]


READ = {
    "it began": (BEGAN, ""),
    "it joined": (at("cp2"), AT["cp2"]),
    "nothing": ("", None),
    "no entry": ('node-name: "x"\n', None),
    "commented out": ("# cluster-init: true\n", None),
    "garbage": ("\x00server: \n[", None),
    "by another hand": ("server: https://192.0.2.1:6443\n", None),
}


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_the_entry_is_read_back(text: str, expected: str | None) -> None:
    assert read_entry(text) == expected


SAME = {
    "the same": (BEGAN, BEGAN, True),
    "another way in": (BEGAN, at("cp1"), True),
    "no way in": (at("cp1"), 'node-name: "x"\n', True),
    "another name": (BEGAN, BEGAN.replace("x", "y"), False),
    "a line more": (BEGAN, BEGAN + "debug: true\n", False),
    "nothing there": (BEGAN, "", False),
}


@pytest.mark.parametrize(("wanted", "present", "expected"), SAME.values(), ids=SAME)
def test_the_way_in_is_no_difference(wanted: str, present: str, expected: bool) -> None:
    assert same_settings(wanted, present) is expected
