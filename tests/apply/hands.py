"""Machine `a` on its way: with a key, staged, committed; and what is asked of it then."""

from tests.apply.pair import OTHER_KEY, A, desired
from tests.apply.sandbox import Sandbox
from wireloom.apply.script import commit_script, confirm_script, make_key_script, stage_script
from wireloom.plan.plan import Action, Change, NodePlan
from wireloom.render.desired import NodeDesired
from wireloom.values import PublicKey

CONFIG = "/etc/wireguard/wg0.conf"
KEY = "/etc/wireguard/wg0.key"
STAGED = "/etc/wireguard/.wireloom/wg0.conf"
STATE = "/var/lib/wireloom/wg0.state"
FULL = "is the disk full, or read-only?"


def make_key(machine: Sandbox) -> PublicKey:
    return PublicKey(machine.ask(make_key_script("wg0")).removeprefix("public_key="))


def lone(machine: Sandbox) -> tuple[NodeDesired, PublicKey]:
    """Machine `a` with a key, and what it should have: `b` as a peer that nobody has seen."""
    key = make_key(machine)
    return desired(A, a=key, b=OTHER_KEY), key


def fresh_plan(want: NodeDesired) -> NodePlan:
    """What is planned for a machine that has nothing yet."""
    peer = ("peer", str(OTHER_KEY), "endpoint", "192.0.2.2:51820", "allowed-ips", "10.99.0.2/32")
    change = Change(
        Action.CREATE,
        "peer b",
        "new",
        do=(("wg", "set", "wg0", *peer),),
        undo=(("wg", "set", "wg0", "peer", str(OTHER_KEY), "remove"),),
    )
    return NodePlan(A, (change,), first_config=want.bare_config, start=True, enable=True, config=want.config)


def start_up(machine: Sandbox) -> tuple[NodeDesired, PublicKey, NodePlan]:
    """Machine `a` staged and committed, nothing confirmed."""
    want, key = lone(machine)
    plan = fresh_plan(want)
    machine.ask(stage_script(want, plan, key))
    machine.ask(commit_script("wg0", plan))
    return want, key, plan


def running(machine: Sandbox) -> str:
    """All that a rollback must bring back: the interface as `wg` and `ip` have it."""
    return machine.ask(
        "wg showconf wg0; ip -o address show dev wg0 scope global | cut -d' ' -f 2-;"
        " ip -4 route show; cat /sys/class/net/wg0/mtu"
    )


def complaints(machine: Sandbox, script: str) -> str:
    """What a script that must fail tells the operator."""
    done = machine.sh(script)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def confirm(want: NodeDesired) -> str:
    return confirm_script("wg0", want.config, fleet="pair", generation=7, network="feed")
