"""The way back, in words: each fact once, beside "rolled back" and beside what had gone wrong."""

from collections.abc import Collection
from ipaddress import ip_address

import pytest

from tests.apply.machines import NAS1, W1
from wireloom.apply.retreat import Return, retreat
from wireloom.apply.script import Hand, Neighbour
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed

HAND = Hand("wg0", "f00d", "ada@desk", "2026-11-25T12:00:00+00:00")
MEND = "`wireloom plan` shows what is left, apply mends it"

# what the node answered, whether it is new; then: after "rolled back: ", after what had gone wrong there
BACK = {
    "untouched": ("untouched", False, "nothing of it is live there", "nothing of it is live there"),
    "untouched and new": ("untouched", True, "nothing of it is live there", "nothing of it is live there"),
    "undone": ("undone", False, "it is as it was", "taken back: it is as it was"),
    "undone and new": (
        "undone",
        True,
        "its key and an interface without peers are left",
        "taken back: its key and an interface without peers are left",
    ),
}


@pytest.mark.parametrize(("outcome", "is_new", "standing", "aftermath"), BACK.values(), ids=BACK)
def test_a_node_that_is_back_is_told_once(outcome: str, is_new: bool, standing: str, aftermath: str) -> None:
    back = Return(outcome, "")
    assert (standing, aftermath) == (back.standing(is_new=is_new), back.aftermath(is_new=is_new))
    assert not back.failed


# what the node answered, why; then: the hint beside that reason alone, and beside another one
LOST = {
    "by half": (
        "half_undone",
        "not as before: mtu 1300",
        f"taken back, but not whole: {MEND}",
        f"taken back, but not whole: not as before: mtu 1300. {MEND}",
    ),
    "nobody knows": ("", "w1 is gone", "", "w1 is gone"),
}


@pytest.mark.parametrize(("outcome", "why", "remedy", "aftermath"), LOST.values(), ids=LOST)
def test_why_a_node_is_not_back_is_told_once(outcome: str, why: str, remedy: str, aftermath: str) -> None:
    lost = Return(outcome, why)
    assert (remedy, aftermath) == (lost.remedy, lost.aftermath(is_new=False))
    assert lost.failed


# neighbours that are asked, those that stay silent, what is told
AGAIN = {
    "nobody to ask": ((), (), "it is as it was"),
    "one answers": ((1,), (), "it is as it was, and 10.99.0.1 answers over the old network"),
    "two answer": ((1, 2), (), "it is as it was, and 10.99.0.1 10.99.0.2 answer over the old network"),
    "one does not": (
        (1, 2),
        (2,),
        "it is as it was, and 10.99.0.1 answers over the old network, but there is no answer from 10.99.0.2",
    ),
    "nobody does": ((1,), (1,), "it is as it was, but there is no answer from 10.99.0.1"),
}


def in_words(peers: Collection[str]) -> str:
    """Their addresses."""
    return " ".join(one.split(",")[0] for one in peers)


@pytest.mark.parametrize(("asked", "silent", "told"), AGAIN.values(), ids=AGAIN)
async def test_who_answers_again_is_told(asked: tuple[int, ...], silent: tuple[int, ...], told: str) -> None:
    def answer(script: str) -> Completed:
        if "\nwithdraw " in script:
            return Completed(0, "outcome=undone\n", "")
        return Completed(0, "".join(f"unproven=10.99.0.{one},\n" for one in silent), "")

    async with Crew(FakeTransport({W1: answer, NAS1: answer})) as crew:
        neighbours = [Neighbour(ip_address(f"10.99.0.{one}")) for one in asked]
        returns = await retreat(crew, HAND, {W1: neighbours, NAS1: ()}, window=60, owners=in_words)
    assert told == returns[W1].standing(is_new=False)
    assert returns[NAS1].standing(is_new=False) == "it is as it was"
