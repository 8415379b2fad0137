"""Who votes, and how many may fail."""

import pytest

from tests.cluster.samples import member
from wireloom.cluster.quorum import Quorum
from wireloom.values import NodeName

CASES = {
    "none": ([], "0 voters, none may fail", 0),
    "one": (["a"], "1 voter, none may fail", 0),
    "two": (["a", "b"], "2 voters, none may fail", 0),
    "three": (["a", "b", "c"], "3 voters, one may fail", 1),
    "four": (["a", "b", "c", "d"], "4 voters, one may fail", 1),
    "five": (["a", "b", "c", "d", "e"], "5 voters, 2 may fail", 2),
    "three, one away": (["a", "b", "-c"], "3 voters, 1 not ready, none may fail", 0),
    "three, two away": (["a", "-b", "-c"], "1 of 3 voters ready, 2 needed", -1),
    "all away": (["-a"], "0 of 1 voter ready, 1 needed", -1),
}


@pytest.mark.parametrize(("names", "words", "spare"), CASES.values(), ids=CASES)
def test_how_many_may_fail(names: list[str], words: str, spare: int) -> None:
    quorum = Quorum.of(member(one.strip("-"), ready="-" not in one) for one in names)
    assert (str(quorum), quorum.spare) == (words, spare)


def test_agents_and_learners_do_not_vote() -> None:
    quorum = Quorum.of([member("a"), member("w1"), member("b", etcd_voter=False)])
    assert quorum.voters == {"a"}


def test_without_one() -> None:
    quorum = Quorum.of(map(member, "abc")).without(NodeName("b"))
    assert (quorum.voters, quorum.ready, quorum.spare) == ({"a", "c"}, {"a", "c"}, 0)
