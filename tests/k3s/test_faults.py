"""An apply that brings k3s is killed again and again; and what is done to the cluster that comes of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.hand import node_of, wait_ready
from tests.k3s.road import age_leases, apply, cut, fleet_of, server_of, supply, told_command
from tests.machines.machines import Machines

PAIR = ("cp1", "w1")

TOKENS = "cat /etc/rancher/k3s/server-token /etc/rancher/k3s/agent-token"

LEFT = """\
find /etc /usr/local/bin /var/lib/wireloom /var/lib/rancher/k3s/agent/images /run/wireloom -xdev \\
    \\( -name '*.new' -o -name '.*k3s.*' -o -name '.*.tar.*' -o -name k3s.restart \\) -print
:
"""
"""What is half done, in lines; a lease that has run out is nobody's."""

CUTS = (
    ("cp1", "hold", "before"),
    ("cp1", "hold", "after"),
    ("w1", "put k3s.note", "after"),
    ("cp1", "wants", "after"),
    ("cp1", "grow", "after"),
    ("w1", "grow", "before"),
    ("cp1", "finish", "before"),
    ("w1", "finish", "after"),
    ("cp1", "enable", "before"),
    ("w1", "enable", "after"),
    ("cp1", "make_token", "before"),
    ("cp1", "make_token", "after"),
    ("cp1", "wake", "before"),
    ("cp1", "wake", "after"),
    ("cp1", "ask", "after"),
    ("cp1", "hand_on", "before"),
    ("cp1", "hand_on", "after"),
    ("w1", "put agent-token", "before"),
    ("w1", "put agent-token", "after"),
    ("w1", "wake", "before"),
    ("w1", "wake", "after"),
)
"""Node, step, and whether the machine has done it."""


@pytest.fixture(scope="module")
def pair(k3s_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A server and an agent to be, with their network and nothing else."""
    with node_machines(PAIR, k3s_image, tmp_path_factory.mktemp("faults")) as group:
        group.operator.fleet_file.write_text(fleet_of("cp1", "w1", among=PAIR, version=""))
        group.operator.run("apply", "--yes")
        group.operator.fleet_file.write_text(fleet_of("cp1", "w1", among=PAIR))
        yield group


def test_an_apply_that_is_killed_at_any_step_is_gone_on_with(pair: Machines, k3s: Path) -> None:
    """Each goes on where the one before was killed: to the next step, and at last to a cluster."""
    secrets = set()
    for node, step, when in CUTS:
        cut(pair, k3s, {"node": node, "step": step, "when": when})
        age_leases(pair)
        secrets.add(server_of(pair).shell(TOKENS, expect=None))
    apply(pair, k3s)
    wait_ready(server_of(pair), "cp1", "w1")
    assert pair.operator.json("plan")["cluster"]["changes"] == []
    assert {name: node_of(pair, name).shell(LEFT) for name in ("cp1", "w1")} == {"cp1": "", "w1": ""}
    assert secrets == {"", server_of(pair).shell(TOKENS)}, "tokens were made more than once"


def test_an_agents_token_that_was_spoilt(pair: Machines, k3s: Path) -> None:
    """The message says what to remove; what comes in its place lets it in."""
    agent = node_of(pair, "w1")
    spoil(pair, "w1", "/etc/rancher/k3s/agent-token", unit="k3s-agent")
    said = apply(pair, k3s, expect=1)
    assert "w1 failed at ready: k3s ends by itself: " in said
    assert "its token is not the cluster's" in said
    agent.shell(told_command(said, "On w1: ", ";"))
    apply(pair, k3s)
    wait_ready(server_of(pair), "cp1", "w1")
    assert agent.shell("stat -c %a /etc/rancher/k3s/agent-token").strip() == "600"


def test_a_servers_token_that_was_changed(pair: Machines, k3s: Path) -> None:
    before = server_of(pair).shell(TOKENS)
    spoil(pair, "cp1", "/etc/rancher/k3s/server-token", unit="k3s")
    said = apply(pair, k3s, expect=1)
    assert "cp1 failed at ready: k3s ends by itself: " in said
    assert "its token is not the cluster's" in said
    server_of(pair).shell(told_command(said, "If it is the only one: ", "; then apply"))
    apply(pair, k3s)
    wait_ready(server_of(pair), "cp1", "w1")
    assert server_of(pair).shell(TOKENS) == before


def spoil(group: Machines, name: str, path: str, *, unit: str) -> None:
    """Change the end of a token by hand, and have k3s read it."""
    script = f"sed -i 's/......$/spoilt/' {path} && systemctl restart --no-block {unit}"
    node_of(group, name).shell(script)


@pytest.fixture
def joining(pair: Machines) -> Machines:
    """The agent has left, and is to join again."""
    pair.operator.run("k3s", "remove", "--yes", "--force", "w1", timeout=300)
    return pair


def halted(
    group: Machines, k3s: Path, fault: dict[str, object], act: Callable[[], object]
) -> tuple[int, str]:
    """An apply during which something happens: its exit code, and what it said."""
    done = group.operator.halted(fault, act, "apply", "--yes", *supply(k3s), seconds=300)
    return done.returncode, done.stdout + done.stderr


def test_a_server_restarts_while_an_agent_joins(joining: Machines, k3s: Path) -> None:
    server = server_of(joining)
    fault: dict[str, object] = {"step": "wake", "node": "w1", "when": "after"}
    code, said = halted(joining, k3s, fault, lambda: server.shell("systemctl restart --no-block k3s"))
    assert code == 0, said
    assert joining.operator.json("plan")["cluster"]["changes"] == []
    wait_ready(server, "cp1", "w1")


def test_a_server_loses_power_while_an_agent_joins(joining: Machines, k3s: Path) -> None:
    server = server_of(joining)

    def act() -> None:
        server.lose_power()
        server.switch_on()
        server.settle()

    fault: dict[str, object] = {"step": "hand_on", "node": "cp1", "when": "before", "keepalive": 1}
    code, said = halted(joining, k3s, fault, act)
    assert code == 1, said
    assert "w1 failed at token: cp1 gave no token: " in said
    apply(joining, k3s)
    assert joining.operator.json("plan")["cluster"]["changes"] == []
    wait_ready(server, "cp1", "w1")
