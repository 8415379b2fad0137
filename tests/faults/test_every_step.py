"""A fault at every step of an apply, before and after its effect: old or new, never a mix, and it goes on."""

import pytest

from tests.faults.world import WINDOW, Mesh

OLD, NEW = "wide", "slim"
CANARY, OTHER = "cp1", "cp2"

CASES = [
    pytest.param(node, step, when, do, id=f"{do}-{when}-{step}-{node}")
    for node, steps in (
        (CANARY, ("look", "stage", "commit", "prove", "confirm")),
        (OTHER, ("commit", "confirm")),
    )
    for step in steps
    for when in ("before", "after")
    for do in ("kill", "interrupt", "drop")
    if node == CANARY or (when == "after" and do != "interrupt")
]
"""Everything at every step of the canary, and what may go on alone with one of those that come after it."""


@pytest.fixture(autouse=True)
def settled(mesh: Mesh) -> None:
    """The old network everywhere, and the file of the new one."""
    mesh.write(OLD)
    mesh.world.run("apply", "--yes")
    mesh.write(NEW)


@pytest.mark.parametrize(("node", "step", "when", "do"), CASES)
def test_every_node_is_old_or_new(mesh: Mesh, node: str, step: str, when: str, do: str) -> None:
    fault = {"step": step, "node": node, "when": when, "do": do}
    done = mesh.operate(fault, "apply", "--yes", "--confirm-within", f"{WINDOW}s")
    assert "fault: " in done.stderr, done.stdout + done.stderr
    assert "this is a bug in wireloom" not in done.stderr

    looks = mesh.settle()
    standing = mesh.standing()
    mesh.in_touch()

    if do == "kill":
        mesh.age_leases()
    else:
        assert {name: one.left for name, one in looks.items() if one.left} == {}
    if step != "confirm" and done.returncode not in {0, 2}:
        assert set(standing.values()) == {OLD}
    mesh.converge(NEW)


def test_who_interrupts_is_told_how_it_ended(mesh: Mesh) -> None:
    fault = {"step": "commit", "node": CANARY, "when": "after", "do": "interrupt"}
    done = mesh.operate(fault, "apply", "--yes", "--confirm-within", f"{WINDOW}s")
    *_, end, empty, last = done.stderr.splitlines()
    assert end.startswith("What was not confirmed is taken back; `wireloom -f ")
    assert end.endswith("plan` shows what is left to do.")
    assert (empty, last) == ("", "wireloom: interrupted")
    mesh.converge(NEW)
