"""``wireloom k3s remove`` and ``uninstall`` as a user has them; what they do to machines: tests/apply."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.apply.test_removal import WELL, answering, wrong
from tests.cli.cluster import FLEET, answer_for, see, write_fleet
from tests.cluster.samples import away, cluster_of, machine, member
from wireloom.cli import world
from wireloom.cli.main import run
from wireloom.cluster.seen import ClusterSeen, K3sStamp
from wireloom.observe.state import Unreachable
from wireloom.transport.fake import FakeTransport
from wireloom.values import NodeName

Printed = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
SERVER, AGENT = answering(WELL["cp1"] | WELL["cp3"]), answering(WELL["cp3"])
ALL = {"cp1": SERVER, "cp2": SERVER, "cp3": SERVER, "w1": AGENT}
DEAD = cluster_of({"w1": away("w1")}, {"w1": member("w1", ready=False)})
NOTHING = {"role": None, "ran": None, "version": None, "stamp": None}
WITH_DB1 = cluster_of({"db1": machine("db1", **NOTHING)})
CLEAN = cluster_of({name: machine(name, **NOTHING) for name in (*ALL, "db1")}, told_by=None)
GONE = cluster_of({"w1": machine("w1", role=None, stamp=None)}, {"w1": None})


@pytest.fixture(autouse=True)
def fleet(here: Path) -> Path:
    return write_fleet(here)


def somebody(patch: Patch, *answers: str) -> None:
    """At the keyboard somebody types these."""
    typed = iter(answers)

    def type_one(*_: object, **__: object) -> str:
        return next(typed)

    patch.setattr(world.sys.stdin, "isatty", lambda: True)  # type: ignore[attr-defined]
    patch.setattr("termios.tcflush", lambda *_: None)
    patch.setattr("click.prompt", type_one)
    patch.setattr("click.confirm", lambda *_, **__: next(typed) == "y")


def nothing_done(fake: FakeTransport) -> bool:
    return not any(
        call in script.splitlines()
        for _, script in fake.scripts
        for call in ("end_all", "retire", "forget w1 120")
    )


# remove


def test_remove_says_what_it_will_do_and_what_it_did(monkeypatch: Patch, capsys: Printed) -> None:
    see(monkeypatch, cluster_of(), ALL)
    assert run(["k3s", "remove", "cp3", "--yes", "--drain-within", "30s"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "cp3: gone: drained, deleted from the cluster, stopped k3s, removed all of k3s\n"
    assert (
        "cp3 leaves the cluster: its pods go elsewhere, within 30 s; cp1 lets it go, and etcd with it;"
        " k3s on its machine is taken away, with its data.\n"
        "cp3: warning: etcd will have 2 voters, none may fail\n"
    ) in printed.err
    assert printed.err.endswith("Take cp3 out of fleet.yaml, or the next apply brings it back.\n")


def test_remove_as_json(monkeypatch: Patch, capsys: Printed) -> None:
    see(monkeypatch, DEAD, ALL)
    assert run(["k3s", "remove", "w1", "--yes", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "failed": False,
        "nodes": [
            {
                "node": "w1",
                "ending": "changed",
                "did": ["deleted from the cluster"],
                "step": "",
                "detail": "",
                "hint": "",
            }
        ],
    }


def test_what_has_left_is_told_and_nobody_is_asked(monkeypatch: Patch, capsys: Printed) -> None:
    fake = see(monkeypatch, GONE, ALL)
    assert run(["k3s", "remove", "w1"]) == 0
    assert "w1: nothing there: it is not in the cluster\n" in capsys.readouterr().out
    assert nothing_done(fake)


REFUSED: dict[str, tuple[ClusterSeen, list[str], str]] = {
    "nobody to ask": (cluster_of(), ["w1"], "Remove w1? Nobody can be asked here"),
    "an unknown name": (
        cluster_of(),
        ["w7", "--yes"],
        "w7: error: is neither in the fleet file nor in the cluster",
    ),
    "no majority": (
        cluster_of(members={"cp3": member("cp3", ready=False)}),
        ["cp2", "--yes"],
        "cp2: error: etcd would have no majority without it: 1 of 2 voters ready, 2 needed",
    ),
    "no cluster": (cluster_of(told_by=None), ["w1", "--yes"], "no server tells of the cluster"),
    "no name": (cluster_of(), [], "Missing argument 'NODE'"),
    "two names": (cluster_of(), ["w1", "cp3"], "unexpected extra argument"),
    "a time": (cluster_of(), ["w1", "--drain-within", "soon"], "'soon' is not a time"),
    "a short time": (cluster_of(), ["w1", "--drain-within", "1s"], "is not between 5s and 60m"),
}


@pytest.mark.parametrize(("seen", "words", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_remove_refuses(
    seen: ClusterSeen, words: list[str], expected: str, monkeypatch: Patch, capsys: Printed
) -> None:
    fake = see(monkeypatch, seen, ALL)
    assert run(["k3s", "remove", *words]) == 1
    assert expected in capsys.readouterr().err
    assert nothing_done(fake)


def test_who_says_no_has_changed_nothing(monkeypatch: Patch, capsys: Printed) -> None:
    fake = see(monkeypatch, cluster_of(), ALL)
    somebody(monkeypatch, "n")
    assert run(["k3s", "remove", "w1"]) == 1
    assert "stopped: nothing was changed" in capsys.readouterr().err
    assert nothing_done(fake)


def test_a_cluster_that_changes_while_one_is_asked_stops_it(monkeypatch: Patch, capsys: Printed) -> None:
    looks: Sequence[ClusterSeen] = [cluster_of(), DEAD]
    following = iter(looks)
    fake = see(monkeypatch, cluster_of(), ALL)

    async def look_cluster(*_: object) -> ClusterSeen:
        return next(following)

    monkeypatch.setattr("wireloom.cli.cluster.ground.look_cluster", look_cluster)
    assert run(["k3s", "remove", "w1", "--yes"]) == 1
    assert "the cluster has changed meanwhile" in capsys.readouterr().err
    assert nothing_done(fake)


def test_pods_that_do_not_go_end_it_with_a_hint(monkeypatch: Patch, capsys: Printed) -> None:
    stuck = answering({"drain": wrong("not drained: cannot evict a pod")})
    see(monkeypatch, cluster_of(), ALL | {"cp1": stuck})
    assert run(["k3s", "remove", "w1", "-y", "-q"]) == 1
    told = capsys.readouterr().out
    assert "w1: failed (drain): not drained: cannot evict a pod\n" in told
    assert "kubectl uncordon w1" in told


# uninstall


def test_uninstall_takes_k3s_off_all(monkeypatch: Patch, capsys: Printed) -> None:
    see(monkeypatch, WITH_DB1, ALL)
    assert run(["k3s", "uninstall", "--yes-i-mean", "shop"]) == 0
    printed = capsys.readouterr()
    assert [line.partition(",")[0] for line in printed.out.splitlines()] == [
        "cp1: gone: stopped k3s",
        "cp2: gone: stopped k3s",
        "cp3: gone: stopped k3s",
        "w1: gone: stopped k3s",
        "db1: nothing there",
    ]
    assert (
        "k3s goes off cp1, cp2, cp3, w1: pods, what the cluster knows, and what local volumes hold.\n"
        "Nothing of it can be had back. The encrypted network stays.\n"
    ) in printed.err


SEEN_FIRST: dict[str, tuple[int, str, ClusterSeen]] = {
    "nothing there": (0, "w1: nothing there\n", CLEAN),
    "no answer": (
        2,
        "w1: pending: no answer from w1\n    once it answers: run this again\n",
        cluster_of({"w1": away("w1")}, told_by=None),
    ),
    "refused": (
        1,
        "w1: failed: another host key\n    look at it\n",
        cluster_of(
            {"w1": Unreachable(NodeName("w1"), "another host key", "look at it", refused=True)}, {}, None
        ),
    ),
    "another fleet's": (
        1,
        "w1: failed: its k3s is the fleet `other`'s: not touched\n",
        cluster_of({"w1": machine("w1", stamp=K3sStamp("other"))}, told_by=None),
    ),
    "nobody's": (
        1,
        "w1: failed: its k3s is not wireloom's: not touched\n",
        cluster_of({"w1": machine("w1", stamp=None)}, told_by=None),
    ),
}


@pytest.mark.parametrize(("code", "told", "seen"), SEEN_FIRST.values(), ids=SEEN_FIRST)
def test_where_nothing_can_be_taken_away_nothing_is_announced_and_nobody_asked(
    code: int, told: str, seen: ClusterSeen, monkeypatch: Patch, capsys: Printed
) -> None:
    fake = see(monkeypatch, seen, ALL)
    assert run(["k3s", "uninstall", "w1"]) == code
    printed = capsys.readouterr()
    assert printed.out == told
    assert "goes off" not in printed.err
    assert "Take `version` out" not in printed.err
    assert fake.scripts == []


def test_what_stays_is_told_before_the_question(monkeypatch: Patch, capsys: Printed) -> None:
    see(monkeypatch, cluster_of({"w1": away("w1"), "db1": machine("db1", **NOTHING)}), ALL)
    assert run(["k3s", "uninstall"]) == 1
    told = capsys.readouterr().err
    assert "k3s goes off cp1, cp2, cp3: " in told
    assert "w1 stays as it is: no answer from w1.\n" in told


def test_a_machine_without_a_role_is_looked_at_as_well(monkeypatch: Patch) -> None:
    fake = answer_for(monkeypatch, "wireloom.cli.cluster.ground", ALL | {"db1": answering({})})
    run(["k3s", "uninstall", "db1"])
    assert fake.scripts_of(NodeName("db1"))


@pytest.mark.parametrize(("typed", "code"), [("shop", 0), ("shpo", 1), ("y", 1), ("", 1)])
def test_uninstall_wants_the_fleets_name(typed: str, code: int, monkeypatch: Patch, capsys: Printed) -> None:
    fake = see(monkeypatch, WITH_DB1, ALL)
    somebody(monkeypatch, typed)
    assert run(["k3s", "uninstall", "-q"]) == code
    assert nothing_done(fake) is (code == 1)
    assert ("stopped: that was not `shop`" in capsys.readouterr().err) is (code == 1)


def test_yes_alone_is_no_name(monkeypatch: Patch, capsys: Printed) -> None:
    fake = see(monkeypatch, cluster_of(), ALL)
    assert run(["k3s", "uninstall", "--yes"]) == 1
    printed = capsys.readouterr().err
    assert "the name of the fleet (shop). Nobody can be asked here\n    --yes-i-mean shop says so" in printed
    assert nothing_done(fake)


NOT: dict[str, tuple[str, list[str], str]] = {
    "protected": (
        FLEET.replace("k3s1 }", "k3s1, protected: true }"),
        ["--yes-i-mean", "shop"],
        "fleet.yaml: error: this cluster is protected",
    ),
    "another name": (
        FLEET,
        ["--yes-i-mean", "prod"],
        "--yes-i-mean: error: this fleet is `shop`, not `prod`",
    ),
    "an unknown machine": (FLEET, ["w9", "--yes-i-mean", "shop"], "no node is named w9"),
    "one of many": (
        FLEET,
        ["w1", "--yes-i-mean", "shop"],
        "w1: error: is in the cluster, which goes on without it, on cp1, cp2, cp3",
    ),
}


@pytest.mark.parametrize(("text", "words", "expected"), NOT.values(), ids=NOT)
def test_what_uninstall_refuses(
    text: str, words: list[str], expected: str, here: Path, monkeypatch: Patch, capsys: Printed
) -> None:
    write_fleet(here, text)
    fake = see(monkeypatch, cluster_of(), ALL)
    assert run(["k3s", "uninstall", *words]) == 1
    assert expected in capsys.readouterr().err
    assert nothing_done(fake)


def test_uninstall_of_a_fleet_whose_cluster_is_no_longer_written_down(here: Path, monkeypatch: Patch) -> None:
    text = FLEET.replace(", roles: [k3s-server]", "").replace(", roles: [k3s-agent]", "")
    write_fleet(here, text.partition("kubernetes:")[0])
    see(monkeypatch, WITH_DB1, ALL)
    assert run(["k3s", "uninstall", "-q", "--yes-i-mean", "shop"]) == 0


def test_what_brings_k3s_back_is_told_after_an_uninstall(monkeypatch: Patch, capsys: Printed) -> None:
    see(monkeypatch, WITH_DB1, ALL)
    assert run(["k3s", "uninstall", "--yes-i-mean", "shop"]) == 0
    told = capsys.readouterr().err
    assert "Take `version` out of fleet.yaml, or the next apply brings k3s back." in told


def test_machines_that_do_not_answer_are_left_with_exit_code_2(monkeypatch: Patch, capsys: Printed) -> None:
    see(monkeypatch, cluster_of({"w1": away("w1"), "db1": machine("db1", **NOTHING)}), ALL)
    assert run(["k3s", "uninstall", "--yes-i-mean", "shop", "--json", "-q"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert [one["ending"] for one in document["nodes"]] == [
        "changed",
        "changed",
        "changed",
        "pending",
        "unchanged",
    ]


def test_a_foreign_k3s_fails_and_the_others_go(monkeypatch: Patch, capsys: Printed) -> None:
    foreign = answering({"ours": wrong("its k3s is the fleet `other`'s: not touched")})
    see(monkeypatch, WITH_DB1, ALL | {"w1": foreign})
    assert run(["k3s", "uninstall", "--yes-i-mean", "shop", "-q"]) == 1
    assert "w1: failed (machine): its k3s is the fleet `other`'s: not touched" in capsys.readouterr().out
