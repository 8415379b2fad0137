# ruff: noqa: E501 - a row of a table stays a row
"""The machine in memory against a real one: the same commands leave both in the same state."""

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.apply.sandbox import Sandbox, sandbox
from tests.network.fleets import key
from tests.plan.machine import Machine
from tests.plan.test_drift import (
    KEEP,
    KEEPER_OF_A,
    add_stranger,
    lose_with_link,
    plan_of_a,
    renumber,
    swap_peers,
)
from tests.plan.world import World, settled, three
from wireloom.observe.parse import parse_state
from wireloom.observe.probes import probe_script, split_sections
from wireloom.observe.state import LinkSeen, NodeState, RouteSeen
from wireloom.plan.plan import Command
from wireloom.values import NodeName

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

A = NodeName("a")
SET, ADDRESS, LINK = ("wg", "set", "wg0"), ("ip", "address"), ("ip", "link", "set", "dev", "wg0")


class Both(Machine):
    """A machine in memory whose commands are run on a real one, too."""

    def begin(self, machine: Machine) -> None:
        """Start as ``machine`` is, by its file."""
        for name in ("key", "config", "stamp", "enabled"):
            setattr(self, name, getattr(machine, name))
        self.commands: list[Command] = []
        self.start()
        self.commands.clear()

    def run(self, command: Command) -> None:
        super().run(command)
        self.commands.append(command)


@pytest.fixture
def real() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def start(real: Sandbox, keyless: str) -> None:
    real.ask("umask 077; wg genkey >/etc/wireguard/wg0.key")
    real.ask(
        "umask 077; { cat <<'END'\n"
        + keyless.replace("Table = off", "Table = off\n@KEY@")
        + "END\n} | { while read -r line; do"
        ' if test "$line" = @KEY@; then printf "PrivateKey = "; cat /etc/wireguard/wg0.key;'
        " else printf '%s\\n' \"$line\"; fi; done; } >/etc/wireguard/wg0.conf"
    )
    real.ask("wg-quick up wg0")


def look(real: Sandbox) -> NodeState:
    done = real.sh(probe_script("wg0", "NONCE"))
    return parse_state(A, split_sections(done.stdout, "NONCE"))


def running(state: NodeState) -> tuple[LinkSeen | None, set[RouteSeen]]:
    """What commands change: the link but for its kind, key and counters, and routes but for link-local ones."""
    ground = {"kind": "", "received": None, "sent": None, "filter": 0, "usual_filter": 0}
    link = state.link and replace(state.link, public_key=None, **ground)
    return link, {one for one in state.routes if not one.to.is_link_local}


def peer(number: int, *words: str) -> Command:
    return (*SET, "peer", str(key(number)), *words)


TYPED: dict[str, list[Command]] = {
    "nothing": [],
    "port, mark, MTU": [(*SET, "listen-port", "4500"), (*SET, "fwmark", "0xca6c"), (*LINK, "mtu", "1280")],
    "down": [(*LINK, "down")],
    "down and up": [(*LINK, "down"), (*LINK, "up")],
    "down without a keeper": [(*KEEP, "0", KEEPER_OF_A), (*LINK, "down")],
    "the first address of a subnet takes the second along": [(*ADDRESS, "replace", "10.99.7.7/16", "dev", "wg0"), (*ADDRESS, "del", "10.99.0.1/16", "dev", "wg0")],
    "the second goes alone": [(*ADDRESS, "replace", "10.99.7.7/16", "dev", "wg0"), (*ADDRESS, "del", "10.99.7.7/16", "dev", "wg0")],
    "another prefix is another address in IPv4": [(*ADDRESS, "replace", "10.99.0.1/24", "dev", "wg0"), (*ADDRESS, "del", "10.99.0.1/16", "dev", "wg0")],
    "another prefix is no other address in IPv6": [(*ADDRESS, "replace", "fd42:99::1/48", "dev", "wg0"), (*ADDRESS, "del", "fd42:99::1/64", "dev", "wg0")],
    "allowed IPs move": [peer(2, "allowed-ips", "10.99.0.3/32")],
    "no allowed IPs": [peer(2, "allowed-ips", "")],
    "a peer goes": [peer(3, "remove")],
    "a peer comes": [peer(9, "endpoint", "192.0.2.9:9", "persistent-keepalive", "7", "allowed-ips", "10.99.0.9/32")],
    "two peers in one command": [(*peer(3, "remove"), "peer", str(key(2)), "persistent-keepalive", "0", "allowed-ips", "10.99.0.3/32")],
    "no preshared key": [peer(2, "preshared-key", "/dev/null")],
    "fences": [("ip", "-4", "route", "del", "unreachable", "10.99.0.0/16", "metric", "4000000"), ("ip", "-6", "route", "replace", "unreachable", "fd01::/56", "metric", "4000000")],
    "connected routes": [("ip", "-4", "route", "del", "10.99.0.0/16", "dev", "wg0", "proto", "kernel", "scope", "link", "src", "10.99.0.1")],
}  # fmt: skip


@pytest.mark.parametrize("commands", TYPED.values(), ids=TYPED)
def test_commands_do_the_same(commands: list[Command], real: Sandbox) -> None:
    model = Both(A)
    model.begin(settled().machines[A])
    start(real, model.config.keyless)
    for command in commands:
        model.run(command)
        real.ask(shlex.join(command))
    assert running(look(real)) == running(model.seen())


def other_ranges(world: World) -> None:
    world.change(three(ipv4="10.96.0.0/12", ipv6="fd42:99::/48", pods=["10.42.0.0/16"]))


def nothing(_: object) -> None:
    pass


PLANNED = {
    "a stranger": (add_stranger, nothing),
    "swapped addresses": (swap_peers, nothing),
    "another address in the same range": (renumber, nothing),
    "larger ranges": (nothing, other_ranges),
    "larger ranges and a stranger": (add_stranger, other_ranges),
    "down": (lambda machine: machine.run((*LINK, "down")), nothing),
    "down without a keeper": (lose_with_link, nothing),
}


@pytest.mark.parametrize(("drift", "change"), PLANNED.values(), ids=PLANNED)
def test_a_plan_leads_a_real_machine_there_and_back(drift: object, change: object, real: Sandbox) -> None:
    world, model = settled(), Both(A)
    model.begin(world.machines[A])
    world.machines[A] = model
    start(real, model.config.keyless)
    drift(model)  # type: ignore[operator]
    change(world)  # type: ignore[operator]
    real.ask("\n".join(map(shlex.join, model.commands)))
    plan = plan_of_a(world)
    before = look(real)

    assert real.sh("set -e\n" + "\n".join(map(shlex.join, plan.commands))).stderr == ""
    for command in plan.commands:
        model.run(command)
    assert running(look(real)) == running(model.seen())

    assert real.sh("set -e\n" + "\n".join(map(shlex.join, plan.inverse))).stderr == ""
    assert running(look(real)) == running(before)
