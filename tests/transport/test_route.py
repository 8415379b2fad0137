"""The way there: the user's ssh configuration and chains of jump hosts."""

import asyncio
from pathlib import Path

import pytest

from tests.transport.conftest import ServerMaker, TransportMaker
from tests.transport.sshd import Sshd
from wireloom.transport.login import Login, parse_jump
from wireloom.transport.port import HostKeyUnknown, TransportError
from wireloom.transport.route import find_route
from wireloom.values import NodeName, SshTarget

N, B, C = NodeName("n"), NodeName("b"), NodeName("c")

SPECS = {
    "bastion": SshTarget("bastion"),
    "ann@bastion": SshTarget("bastion", None, "ann"),
    "ann@bastion:2222": SshTarget("bastion", 2222, "ann"),
    "ssh://ann@bastion:22": SshTarget("bastion", 22, "ann"),
    "[2001:db8::1]:2222": SshTarget("2001:db8::1", 2222),
    "ann@2001:db8::1": SshTarget("2001:db8::1", None, "ann"),
}


@pytest.mark.parametrize(("text", "target"), SPECS.items(), ids=SPECS.keys())
def test_a_jump_host_as_written(text: str, target: SshTarget) -> None:
    assert target == parse_jump(text)


@pytest.mark.parametrize("text", ["", "a b:c:d@", "host:99999", "host:x", "@host"])
def test_what_is_not_a_jump_host(text: str) -> None:
    with pytest.raises(TransportError, match="is not a jump host"):
        parse_jump(text)


ROUTES = {
    "direct": (["n"], {"n": None}, {}),
    "a node": (["b", "n"], {"n": "b", "b": None}, {}),
    "a node behind a node": (["c", "b", "n"], {"n": "b", "b": "c", "c": None}, {}),
    "a list": (["x", "y", "n"], {"n": "x,y"}, {}),
    "from the configuration": (["x", "n"], {"n": None}, {"n": "x"}),
    "the fleet file wins": (["y", "n"], {"n": "y"}, {"n": "x"}),
    "a jump host with its own jump host": (["y", "x", "n"], {"n": None}, {"n": "x", "x": "y"}),
    "only the first of a list brings its own": (["z", "x", "y", "n"], {"n": "x,y"}, {"x": "z", "y": "w"}),
    "none": (["n"], {"n": None}, {"n": "none"}),
}


@pytest.mark.parametrize(("expected", "jumps", "config"), ROUTES.values(), ids=ROUTES.keys())
async def test_the_order_of_hops(
    expected: list[str], jumps: dict[str, str | None], config: dict[str, str]
) -> None:
    async def read(target: SshTarget, node: NodeName | None) -> Login:
        return Login(target.host, target.host, 22, "root", node, jump=config.get(target.host))

    targets = {NodeName(name): SshTarget(name, jump=jump) for name, jump in jumps.items()}
    assert expected == [login.host for login in await find_route(N, targets, read)]


async def test_jump_hosts_in_a_circle() -> None:
    async def read(target: SshTarget, node: NodeName | None) -> Login:
        return Login(target.host, target.host, 22, "root", node)

    targets = {N: SshTarget("n", jump="b"), B: SshTarget("b", jump="n")}
    with pytest.raises(TransportError, match="in a circle: n → b → n"):
        await find_route(N, targets, read)


async def test_two_hops_over_nodes_share_one_connection_each(
    start: ServerMaker, transport: TransportMaker
) -> None:
    far, near, target = start("far"), start("near"), start("target")
    nodes: dict[str, Sshd | SshTarget] = {
        "c": far,
        "b": SshTarget("127.0.0.1", near.port, jump="c"),
        **{f"n{number}": SshTarget("127.0.0.1", target.port, jump="b") for number in range(5)},
    }
    one = transport(nodes)
    connections = await asyncio.gather(*(one.connect(NodeName(f"n{number}")) for number in range(5)))
    assert {"hi\n"} == {(await each.run("echo hi", timeout=10)).stdout for each in connections}
    assert (far.connections(), near.connections(), target.connections()) == (1, 1, 5)


async def test_a_lost_jump_host_is_dialled_anew(start: ServerMaker, transport: TransportMaker) -> None:
    near, target = start("near"), start("target")
    one = transport({"b": near, "n": SshTarget("127.0.0.1", target.port, jump="b")})
    await one.connect(N)
    shared = next(iter(one._jumps.values())).result()
    shared.abort()
    await shared.wait_closed()
    assert (await (await one.connect(N)).run("echo hi", timeout=10)).stdout == "hi\n"
    assert near.connections() == 2


async def test_the_key_of_a_jump_node_is_checked_first(start: ServerMaker, transport: TransportMaker) -> None:
    near, target = start("near"), start("target")
    nodes = {"b": near, "n": SshTarget("127.0.0.1", target.port, jump="b")}
    with pytest.raises(HostKeyUnknown) as caught:
        await transport(nodes, accept_new=False).connect(N)
    assert (B, near.host_key) == (caught.value.node, caught.value.host_key)
    with pytest.raises(HostKeyUnknown) as caught:
        await transport(nodes, accept_new=False, pinned={B: near.host_key}).connect(N)
    assert (N, target.host_key) == (caught.value.node, caught.value.host_key)


async def test_a_jump_host_outside_the_fleet_must_be_in_known_hosts(
    start: ServerMaker, transport: TransportMaker, operator_home: Path
) -> None:
    near, target = start("near"), start("target")
    nodes = {"n": SshTarget("127.0.0.1", target.port, jump=f"root@127.0.0.1:{near.port}")}
    with pytest.raises(TransportError, match="a jump host, is not in known_hosts"):
        await transport(nodes).connect(N)
    (operator_home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{near.port} {near.host_key}\n")
    await transport(nodes).connect(N)


async def test_a_target_that_the_jump_host_cant_reach(start: ServerMaker, transport: TransportMaker) -> None:
    near = start("near")
    with pytest.raises(
        TransportError, match=r"the jump host root@127\.0\.0\.1 can't reach 127\.0\.0\.1 port 1"
    ) as caught:
        await transport({"b": near, "n": SshTarget("127.0.0.1", 1, jump="b")}, attempts=1).connect(N)
    assert caught.value.unreachable


async def test_a_jump_host_that_forbids_it(
    start: ServerMaker, transport: TransportMaker, machine: Sshd
) -> None:
    near = start("near", extra=("AllowTcpForwarding no",))
    with pytest.raises(TransportError, match="refuses to forward") as caught:
        await transport({"b": near, "n": SshTarget("127.0.0.1", machine.port, jump="b")}).connect(N)
    assert not caught.value.unreachable


async def test_a_jump_host_that_is_down_is_named_to_all(transport: TransportMaker) -> None:
    nodes = {"b": SshTarget("127.0.0.1", 1), **{f"n{n}": SshTarget("192.0.2.9", jump="b") for n in range(3)}}
    one = transport(nodes, attempts=1)
    results = await asyncio.gather(
        *(one.connect(NodeName(f"n{n}")) for n in range(3)), return_exceptions=True
    )
    assert {"jump host 127.0.0.1: connection refused by 127.0.0.1 port 1"} == {
        str(result) for result in results
    }


async def test_an_alias_with_a_chain_of_jump_hosts_in_the_configuration(
    start: ServerMaker, transport: TransportMaker, operator_home: Path, user_key: Path
) -> None:
    far, near, target = start("far"), start("near"), start("target")
    (operator_home / ".ssh/config").write_text(
        f"Host inner\n  HostName 127.0.0.1\n  Port {target.port}\n  ProxyJump near\n"
        f"Host near\n  HostName 127.0.0.1\n  Port {near.port}\n  ProxyJump far\n"
        f"Host far\n  HostName 127.0.0.1\n  Port {far.port}\n"
        f"Host *\n  User root\n  IdentityFile {user_key}\n  IdentityFile ~/.ssh/missing\n"
        "  SendEnv LANG LC_*\n  RequestTTY force\n  RemoteCommand false\n  StrictHostKeyChecking no\n"
    )
    (operator_home / ".ssh/known_hosts").write_text(
        "".join(f"[127.0.0.1]:{one.port} {one.host_key}\n" for one in (far, near))
    )
    connection = await transport({"n": SshTarget("inner")}, identity=None).connect(N)
    assert (await connection.run("echo hi", timeout=10)).stdout == "hi\n"
    assert (far.connections(), near.connections(), target.connections()) == (1, 1, 1)


async def test_the_fleet_file_wins_over_the_configuration(
    machine: Sshd, transport: TransportMaker, operator_home: Path
) -> None:
    (operator_home / ".ssh/config").write_text("Host *\n  User nobody\n  Port 1\n  IdentityFile /nowhere\n")
    await transport({"n": SshTarget("127.0.0.1", machine.port, "root")}).connect(N)


async def test_the_user_of_the_configuration_wins_over_root(
    machine: Sshd, transport: TransportMaker, operator_home: Path
) -> None:
    (operator_home / ".ssh/config").write_text("Host *\n  User deploy\n")
    with pytest.raises(TransportError, match="no key was accepted for deploy@"):
        await transport({"n": machine}).connect(N)


async def test_without_use_config_the_configuration_plays_no_part(
    machine: Sshd, transport: TransportMaker, operator_home: Path
) -> None:
    (operator_home / ".ssh/config").write_text("Host *\n  User deploy\n")
    await transport({"n": machine}, use_config=False).connect(N)


async def test_a_configuration_that_does_not_parse(
    machine: Sshd, transport: TransportMaker, operator_home: Path
) -> None:
    (operator_home / ".ssh/config").write_text("Host *\n  Port twenty-two\n")
    with pytest.raises(TransportError, match=r"\.ssh/config line 2"):
        await transport({"n": SshTarget("127.0.0.1")}).connect(N)
