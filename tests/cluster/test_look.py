"""A look at k3s on machines that answer as told: who is asked, and who tells of the cluster."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.shop import CP1, CP2, CP3, W1
from wireloom.cluster.look import look_cluster
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.observe.state import Unreachable
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

RECORDINGS = Path(__file__).parent / "recordings"
BARE, SERVER = ((RECORDINGS / f"{name}.txt").read_text() for name in ("bare", "server"))
MUTE = SERVER[: SERVER.index("told\n")] + "failed\nconnection refused\n\nNONCE end\n"


def transport(answers: Mapping[NodeName, str | TransportError]) -> FakeTransport:
    return FakeTransport({name: answering(told) for name, told in answers.items()})


def answering(told: str | TransportError) -> Callable[[str], Completed] | TransportError:
    return told if isinstance(told, TransportError) else lambda _: Completed(0, told, "")


async def look(answers: Mapping[NodeName, str | TransportError]) -> ClusterSeen:
    async with Crew(transport(answers)) as crew:
        return await look_cluster(crew, answers, "NONCE")


async def test_the_first_server_that_can_tells_of_the_cluster() -> None:
    seen = await look({CP1: MUTE, CP2: SERVER, CP3: SERVER})
    assert seen.told_by == CP2
    assert seen.member(CP1)
    assert seen.trouble == ""


async def test_where_no_server_can_tell_the_first_ones_reason_is_told() -> None:
    seen = await look({CP1: BARE, CP2: MUTE, CP3: MUTE})
    assert (seen.members, seen.told_by, seen.trouble) == (None, None, "cp2: connection refused")


async def test_where_nobody_runs_there_is_no_trouble() -> None:
    seen = await look({CP1: BARE, W1: BARE})
    assert (seen.members, seen.told_by, seen.trouble) == (None, None, "")


async def test_a_machine_that_does_not_answer_is_no_reason_not_to_look_at_the_others() -> None:
    away = TransportError("no route to host", hint="look at it", unreachable=True)
    refusing = TransportError("permission denied")
    seen = await look({CP1: away, CP2: refusing, CP3: SERVER})
    assert seen.nodes[CP1] == Unreachable(CP1, "no route to host", "look at it")
    assert seen.nodes[CP2] == Unreachable(CP2, "permission denied", refused=True)
    assert isinstance(seen.nodes[CP3], K3sSeen)
    assert seen.machine(CP1) is None


async def test_an_answer_that_was_cut_is_none() -> None:
    seen = await look({CP1: SERVER[: SERVER.index("NONCE end")]})
    cut = seen.nodes[CP1]
    assert isinstance(cut, Unreachable)
    assert (cut.what, cut.refused) == ("the answer was cut short", True)
