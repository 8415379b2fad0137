"""One verdict over many."""

import pytest

from wireloom.verify.claim import Claim, Evidence, Verdict, conclude

HOLDS, FALSIFIED, UNKNOWN = Verdict.HOLDS, Verdict.FALSIFIED, Verdict.UNKNOWN

CONCLUSIONS = {
    "all hold": (HOLDS, [HOLDS, HOLDS]),
    "one unknown": (UNKNOWN, [HOLDS, UNKNOWN, HOLDS]),
    "one falsified": (FALSIFIED, [HOLDS, FALSIFIED]),
    "falsified outweighs unknown": (FALSIFIED, [UNKNOWN, FALSIFIED, UNKNOWN]),
    "nothing tested": (UNKNOWN, []),
}


@pytest.mark.parametrize(("expected", "verdicts"), CONCLUSIONS.values(), ids=CONCLUSIONS)
def test_conclusions(expected: Verdict, verdicts: list[Verdict]) -> None:
    assert conclude(verdicts) is expected
    assert conclude(reversed(verdicts)) is expected
    claims = tuple(Claim("answers", "a", "b", one, "") for one in verdicts)  # type: ignore[arg-type]
    assert Evidence(claims, 2, 2).verdict is expected


@pytest.mark.parametrize(("expected", "tested"), [(False, 6), (True, 5)])
def test_fewer_pairs_than_there_are_is_a_sample(expected: bool, tested: int) -> None:
    assert Evidence((), tested, 6).sampled is expected
