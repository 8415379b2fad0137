"""Taking a node out and k3s off machines, step by step, on machines that answer as told."""

from collections.abc import Callable

import pytest

from wireloom.apply.departure import Departure
from wireloom.apply.outcome import Ending
from wireloom.apply.removal import Way, leaving, remove_node, uninstall
from wireloom.apply.terms import Terms
from wireloom.cluster.removal import Removal
from wireloom.errors import UserError
from wireloom.transport.crew import Crew
from wireloom.transport.fake import Answer, FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

TERMS = Terms("f00d", "ada@desk", "2026-11-30T12:00:00+00:00")
CP1, CP3 = NodeName("cp1"), NodeName("cp3")
SERVER = Removal(CP3, CP1, drain=True, voter=True, needed=True, machine=True)
SLOWLY = Way(120)

Said = dict[str, str | Completed | TransportError]


def calls(script: str) -> list[str]:
    """What a script calls, without the functions before it and what keeps the machine."""
    lines = script.rstrip().splitlines()
    last = max(
        place for place, line in enumerate(lines) if line in {"}", "alone"} or line.startswith("keep ")
    )
    return [line for line in lines[last + 1 :] if line]


def answering(said: Said) -> Callable[[str], Completed]:
    """A machine that does what it is told, and has something to say of some calls."""

    def answer(script: str) -> Completed:
        told = ""
        for call in calls(script):
            one = said.get(call.split()[0], "")
            if isinstance(one, TransportError):
                raise one
            if isinstance(one, Completed):
                return one
            told += one
        return Completed(0, told, "")

    return answer


WELL: dict[str, Said] = {
    "cp1": {"drain": "did=drained\n", "forget": "did=deleted from the cluster\n"},
    "cp3": {"ours": "k3s=there\n", "end_all": "did=stopped k3s\n", "erase": "did=removed all of k3s\n"},
}


def wrong(words: str) -> Completed:
    return Completed(1, "", f"wireloom: {words}\n")


async def remove(
    removal: Removal = SERVER, way: Way = SLOWLY, **said: Said
) -> tuple[Departure, list[tuple[str, str]]]:
    """How it ended, and every call in its order."""
    answers: dict[NodeName, Answer] = {
        NodeName(name): answering(WELL.get(name, {}) | said.get(name, {})) for name in ("cp1", "cp3")
    }
    fake = FakeTransport(answers)
    async with Crew(fake) as crew, leaving(crew, TERMS, "wg0", "shop", list(answers)) as (leave, missing):
        done = await remove_node(leave, missing, removal, way, lambda _: None)
    return done, [(name, call) for name, script in fake.scripts for call in calls(script)]


def told(made: list[tuple[str, str]]) -> list[str]:
    """The calls but for those that hold and let go."""
    return [f"{name}: {call}" for name, call in made if call.split()[0] not in {"hold", "withdraw"}]


async def test_a_server_leaves_step_by_step() -> None:
    done, made = await remove()
    assert told(made) == [
        "cp1: drain cp3 120",
        "cp3: retire",
        "cp1: forget cp3 120",
        "cp3: ours shop",
        "cp3: put_out 60",
        "cp3: end_all",
        "cp3: erase",
    ]
    gone = ("drained", "deleted from the cluster", "stopped k3s", "removed all of k3s")
    assert done == Departure(CP3, Ending.CHANGED, gone)


async def test_all_machines_are_held_and_let_go() -> None:
    _, made = await remove()
    for name in ("cp1", "cp3"):
        assert (name, f"hold f00d ada@desk {TERMS.when}") in made
        assert (name, "withdraw f00d") in made


LESS = {
    "an agent": (
        Removal(CP3, CP1, drain=True, machine=True),
        Way(60, force=True),
        [
            "cp1: drain cp3 60 --force",
            "cp3: retire",
            "cp1: forget cp3 120",
            "cp3: ours shop",
            "cp3: end_all",
            "cp3: erase",
        ],
    ),
    "a server whose vote nobody needs": (
        Removal(CP3, CP1, voter=True, machine=True),
        Way(60),
        ["cp3: retire", "cp1: forget cp3 120", "cp3: ours shop", "cp3: end_all", "cp3: erase"],
    ),
    "a dead one": (Removal(CP3, CP1, voter=True), Way(60), ["cp1: forget cp3 120"]),
    "one that has left": (
        Removal(CP3, machine=True),
        Way(60),
        ["cp3: ours shop", "cp3: end_all", "cp3: erase"],
    ),
    "one whose files are kept": (
        Removal(CP3, machine=True),
        Way(60, keep=True),
        ["cp3: ours shop", "cp3: end_all"],
    ),
    "nothing": (Removal(CP3), Way(60), []),
}


@pytest.mark.parametrize(("removal", "way", "expected"), LESS.values(), ids=LESS)
async def test_only_what_is_needed_is_done(removal: Removal, way: Way, expected: list[str]) -> None:
    _, made = await remove(removal, way)
    assert told(made) == expected


async def test_where_pods_do_not_go_nothing_else_happens() -> None:
    done, made = await remove(cp1={"drain": wrong("not drained: a budget")})
    assert told(made) == ["cp1: drain cp3 120"]
    assert (done.ending, done.step, done.detail) == (Ending.FAILED, "drain", "not drained: a budget")
    assert "kubectl uncordon cp3" in done.hint


async def test_what_the_cluster_keeps_is_as_it_was() -> None:
    done, made = await remove(cp1={"forget": wrong("not deleted: timed out")})
    assert told(made)[-2:] == ["cp1: forget cp3 120", "cp3: reinstate"]
    assert (done.ending, done.step, done.did) == (Ending.FAILED, "delete", ("drained",))


async def test_where_it_is_not_known_whether_the_cluster_let_it_go_it_does_not_come_back() -> None:
    done, made = await remove(cp1={"forget": TransportError("the connection broke", unreachable=True)})
    assert told(made)[-1] == "cp1: forget cp3 120"
    assert (done.ending, done.hint) == (Ending.FAILED, "run this again: it goes on from here")


async def test_a_machine_that_can_not_be_kept_from_coming_back_stays_in_the_cluster() -> None:
    done, made = await remove(cp3={"retire": wrong("no")})
    assert "cp1: forget cp3 120" not in told(made)
    assert (done.ending, done.step) == (Ending.FAILED, "retire")


async def test_a_machine_that_stops_answering_is_left_behind() -> None:
    done, _ = await remove(cp3={"ours": TransportError("gone", unreachable=True)})
    assert (done.ending, done.did) == (Ending.PENDING, ("drained", "deleted from the cluster"))


async def test_what_could_not_be_deleted_is_told_with_what_was_done() -> None:
    done, _ = await remove(cp3={"ours": Completed(1, "did=stopped k3s\n", "wireloom: /x is still mounted\n")})
    assert done.did == ("drained", "deleted from the cluster", "stopped k3s")
    assert (done.ending, done.detail) == (Ending.FAILED, "/x is still mounted")


@pytest.mark.parametrize("name", ["cp1", "cp3"])
async def test_a_machine_that_somebody_else_has_stops_it(name: str) -> None:
    with pytest.raises(UserError, match=f"{name}: held by ben@shed"):
        await remove(**{name: {"hold": wrong("held by ben@shed")}})


async def test_a_name_is_never_more_than_a_word() -> None:
    _, made = await remove(Removal(NodeName("a; reboot"), CP1))
    assert told(made) == ["cp1: forget 'a; reboot' 120"]


# uninstall


async def test_k3s_goes_off_all_machines_and_each_says_how() -> None:
    answers: dict[NodeName, Answer] = {
        NodeName("cp1"): answering(WELL["cp3"]),
        NodeName("w1"): answering({"ours": Completed(0, "k3s=nothing\n", "")}),
        NodeName("w2"): answering({"ours": wrong("its k3s is the fleet `other`'s: not touched")}),
        NodeName("w3"): TransportError("no answer", unreachable=True),
        NodeName("w4"): answering({"hold": wrong("held by ben@shed")}),
    }
    async with (
        Crew(FakeTransport(answers)) as crew,
        leaving(crew, TERMS, "wg0", "shop", list(answers)) as (leave, missing),
    ):
        done = await uninstall(leave, missing, list(answers))
    assert [(one.name, one.ending, one.step, one.detail) for one in done] == [
        ("cp1", Ending.CHANGED, "", ""),
        ("w1", Ending.UNCHANGED, "", ""),
        ("w2", Ending.FAILED, "machine", "its k3s is the fleet `other`'s: not touched"),
        ("w3", Ending.PENDING, "hold", "no answer"),
        ("w4", Ending.FAILED, "hold", "held by ben@shed"),
    ]
