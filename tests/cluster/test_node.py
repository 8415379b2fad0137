"""K3s on one machine, wanted against seen: what is done, and why."""

from dataclasses import replace

import pytest

from tests.cluster.fleets import CP1, CP2, VERSION, W1, cluster, entries_of
from tests.network.fleets import lock_of
from wireloom.cluster.desired import K3sDesired
from wireloom.cluster.node import plan_k3s
from wireloom.cluster.places import AGENT_TOKEN, BINARY, SERVER_TOKEN, SETTINGS, STATE
from wireloom.cluster.plan import K3sNodePlan
from wireloom.cluster.render import render_cluster
from wireloom.cluster.seen import FileSeen, K3sSeen
from wireloom.network.topology import weave
from wireloom.plan.plan import Risk
from wireloom.values import NodeName

FLEET = cluster(CP1, CP2, W1)
DESIRED = render_cluster(FLEET, weave(FLEET, lock_of(FLEET)), entries_of(FLEET))
CP1_UNIT, W1_UNIT = "/etc/systemd/system/k3s.service", "/etc/systemd/system/k3s-agent.service"
MADE = "made at apply, on the machine"
HANDED = "handed on by a server at apply, and kept nowhere else"
SETTINGS_AND_WHY = ("create", f"file {SETTINGS}", "what k3s runs with")
Told = list[tuple[str, str, str]]


def want(name: str) -> K3sDesired:
    return DESIRED[NodeName(name)]


def settled(name: str, **different: object) -> K3sSeen:
    """The machine as an apply has left it, but for this."""
    desired = want(name)
    seen = K3sSeen(
        desired.name,
        version=VERSION,
        role=desired.role,
        enabled=True,
        active="active",
        files={one.path: FileSeen(one.text, one.mode) for one in desired.files},
        ran=desired.role,
        data=True,
        tokens=frozenset({SERVER_TOKEN, AGENT_TOKEN}),
        stamp=desired.stamp,
    )
    return replace(seen, **different)  # type: ignore[arg-type]


def with_file(name: str, path: str, **different: object) -> dict[str, FileSeen]:
    files = dict(settled(name).files)
    return {**files, path: replace(files[path], **different)}  # type: ignore[arg-type]


def without_file(name: str, path: str) -> dict[str, FileSeen]:
    return {key: one for key, one in settled(name).files.items() if key != path}


def told(plan: K3sNodePlan) -> Told:
    return [(str(one.action), one.target, one.reason) for one in plan.changes]


def plan(name: str, seen: K3sSeen) -> K3sNodePlan:
    return plan_k3s(want(name), seen)


BLANK: dict[str, Told] = {
    "cp1": [
        ("create", f"file {BINARY}", f"k3s {VERSION}"),
        SETTINGS_AND_WHY,
        ("create", f"file {CP1_UNIT}", "starts k3s, after its network"),
        ("create", f"token {SERVER_TOKEN}", MADE),
        ("create", f"token {AGENT_TOKEN}", MADE),
        ("enable", "unit k3s", "not started at boot"),
        ("start", "unit k3s", "begins the cluster"),
    ],
    "cp2": [
        ("create", f"file {BINARY}", f"k3s {VERSION}"),
        SETTINGS_AND_WHY,
        ("create", f"file {CP1_UNIT}", "starts k3s, after its network"),
        ("create", f"token {SERVER_TOKEN}", HANDED),
        ("create", f"token {AGENT_TOKEN}", HANDED),
        ("enable", "unit k3s", "not started at boot"),
        ("start", "unit k3s", "joins the cluster at cp1"),
    ],
    "w1": [
        ("create", f"file {BINARY}", f"k3s {VERSION}"),
        SETTINGS_AND_WHY,
        ("create", f"file {W1_UNIT}", "starts k3s, after its network"),
        ("create", f"token {AGENT_TOKEN}", HANDED),
        ("enable", "unit k3s-agent", "not started at boot"),
        ("start", "unit k3s-agent", "joins the cluster at cp1"),
    ],
}


@pytest.mark.parametrize(("name", "wanted"), BLANK.items(), ids=BLANK)
def test_a_blank_machine_gets_everything_in_the_order_of_its_steps(name: str, wanted: Told) -> None:
    assert told(plan(name, K3sSeen(NodeName(name)))) == wanted


WAYS_IN = {"cp1": (True, False), "cp2": (False, True), "w1": (False, True)}


@pytest.mark.parametrize(("name", "wanted"), WAYS_IN.items(), ids=WAYS_IN)
def test_who_begins_and_who_joins(name: str, wanted: tuple[bool, bool]) -> None:
    got = plan(name, K3sSeen(NodeName(name)))
    assert (got.begins, got.joins) == wanted
    assert (got.install, got.enable, got.start, got.restart, got.note) == (True, True, True, False, True)


@pytest.mark.parametrize("name", DESIRED)
def test_a_machine_that_is_as_wanted_needs_nothing(name: str) -> None:
    assert plan(name, settled(name)) == K3sNodePlan(want(name))


RESTARTED = ("restart", "unit k3s", "its files have changed; its API is away for a moment, pods go on")
OLD = with_file("cp1", SETTINGS, text=want("cp1").settings.text.replace("10.42.", "10.44."))
ODD_ORDER = "\n".join(reversed(want("cp1").settings.text.splitlines())) + "\n"

DRIFT: dict[str, tuple[dict[str, object], Told]] = {
    "another text": (
        {"files": OLD},
        [
            (
                "update",
                f"file {SETTINGS}",
                '- cluster-cidr: "10.44.0.0/16", + cluster-cidr: "10.42.0.0/16"',
            ),
            RESTARTED,
        ],
    ),
    "another order": (
        {"files": with_file("cp1", SETTINGS, text=ODD_ORDER)},
        [("update", f"file {SETTINGS}", "its lines in another order"), RESTARTED],
    ),
    "another mode": (
        {"files": with_file("cp1", SETTINGS, mode=0o644)},
        [("update", f"file {SETTINGS}", "mode 644 → 600")],
    ),
    "no settings": ({"files": without_file("cp1", SETTINGS)}, [SETTINGS_AND_WHY, RESTARTED]),
    "no unit": (
        {"files": without_file("cp1", CP1_UNIT)},
        [("create", f"file {CP1_UNIT}", "starts k3s, after its network"), RESTARTED],
    ),
    "another version": (
        {"version": "v1.33.1+k3s1"},
        [("update", f"file {BINARY}", f"k3s v1.33.1+k3s1 → {VERSION}"), RESTARTED],
    ),
    "no binary": ({"version": None}, [("create", f"file {BINARY}", f"k3s {VERSION}"), RESTARTED]),
    "a binary that says nothing": (
        {"version": ""},
        [("update", f"file {BINARY}", f"a file that does not say which k3s it is → {VERSION}"), RESTARTED],
    ),
    "disabled": ({"enabled": False}, [("enable", "unit k3s", "not started at boot")]),
    "failed": ({"active": "failed"}, [("start", "unit k3s", "not running: failed")]),
    "stopped": ({"active": "inactive"}, [("start", "unit k3s", "not running: inactive")]),
    "activating": ({"active": "activating"}, [("start", "unit k3s", "not running: activating")]),
    "stopped, and another text": (
        {"active": "inactive", "files": OLD},
        [
            (
                "update",
                f"file {SETTINGS}",
                '- cluster-cidr: "10.44.0.0/16", + cluster-cidr: "10.42.0.0/16"',
            ),
            ("start", "unit k3s", "not running: inactive"),
        ],
    ),
    "a restart that an apply did not come to": ({"restart_due": True}, [RESTARTED]),
    "no note": ({"stamp": None}, [("create", f"file {STATE}", "wireloom's note of whose machine this is")]),
}


@pytest.mark.parametrize(("different", "wanted"), DRIFT.values(), ids=DRIFT)
def test_drift_is_mended_and_nothing_else_done(different: dict[str, object], wanted: Told) -> None:
    assert told(plan("cp1", settled("cp1", **different))) == wanted


@pytest.mark.parametrize(("different", "wanted"), DRIFT.values(), ids=DRIFT)
def test_what_is_told_is_what_is_done(different: dict[str, object], wanted: Told) -> None:
    got = plan("cp1", settled("cp1", **different))
    actions = [action for action, _, _ in wanted]
    assert (got.start, got.restart, got.enable) == tuple(
        one in actions for one in ("start", "restart", "enable")
    )
    assert got.install == any(target == f"file {BINARY}" for _, target, _ in wanted)
    assert [f"file {one.path}" for one in got.write] == [
        target for _, target, _ in wanted if target in {f"file {SETTINGS}", f"file {CP1_UNIT}"}
    ]
    assert (got.begins, got.joins) == (False, False)


def test_a_restart_says_what_is_away_and_is_marked() -> None:
    server, agent = (plan(name, settled(name, version="v1.33.1+k3s1")).changes[-1] for name in ("cp1", "w1"))
    assert (server.risk, agent.risk) == (Risk.BRIEF, Risk.BRIEF)
    assert agent.reason == "its files have changed; its kubelet is away for a moment, pods go on"


def test_by_whom_a_machine_came_in_does_not_count_once_it_is_in() -> None:
    joined_elsewhere = want("cp2").settings.text.replace("10.99.0.1:6443", "10.99.0.9:6443")
    assert joined_elsewhere != want("cp2").settings.text
    seen = settled("cp2", files=with_file("cp2", SETTINGS, text=joined_elsewhere))
    assert plan("cp2", seen).changes == ()
    began = want("cp2").settings.text.replace('server: "https://10.99.0.1:6443"', "cluster-init: true")
    assert plan("cp2", settled("cp2", files=with_file("cp2", SETTINGS, text=began))).changes == ()


def test_by_whom_it_comes_in_counts_as_long_as_it_is_not() -> None:
    elsewhere = want("cp2").settings.text.replace("10.99.0.1:6443", "10.99.0.9:6443")
    seen = settled("cp2", files=with_file("cp2", SETTINGS, text=elsewhere), data=False, ran=None)
    assert plan("cp2", seen).write == (want("cp2").settings,)


def test_tokens_that_are_there_are_not_told_and_handed_on_all_the_same() -> None:
    """They may be from an apply that was cut off, of a cluster that never was."""
    got = plan("cp2", settled("cp2", data=False, ran=None, active="inactive"))
    assert told(got) == [("start", "unit k3s", "joins the cluster at cp1")]
    assert got.joins


def test_no_secret_is_in_a_plan() -> None:
    """Neither wanted nor seen has one to begin with: this is what a plan is made of."""
    got = repr(plan("cp1", K3sSeen(NodeName("cp1"))))
    assert "token-file" in got
    assert "K10" not in got
