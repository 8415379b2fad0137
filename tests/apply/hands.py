"""Machine `a` on its way: with a key, staged, committed; and what is asked of it then."""

from dataclasses import replace

from tests.apply.pair import OTHER_KEY, A, desired
from tests.apply.sandbox import Sandbox
from wireloom.apply.script import Hand, Neighbour, Note, make_key_script
from wireloom.observe.parse import parse_state
from wireloom.observe.probes import probe_script, split_sections
from wireloom.observe.state import NodeState
from wireloom.plan.plan import Action, Change, NodePlan
from wireloom.render.desired import NodeDesired
from wireloom.values import NodeName, PublicKey

CONFIG = "/etc/wireguard/wg0.conf"
KEY = "/etc/wireguard/wg0.key"
STAGED = "/etc/wireguard/.wireloom/wg0.conf"
STATE = "/var/lib/wireloom/wg0.state"
HISTORY = "/var/lib/wireloom/history/wg0"
HERE = "/run/wireloom/wg0"
WAITING = "pgrep -f '/change/undo[.]sh'"
FULL = "is the disk full, or read-only?"

WHEN = "2026-11-25T12:00:00+00:00"
HAND = Hand("wg0", "f00d", "ada@desk", WHEN)
EARLIER = Hand("wg0", "cafe", "ada@desk", WHEN)
BEN = Hand("wg0", "beef", "ben@shed", WHEN)

PEER = ("wg", "set", "wg0", "peer", str(OTHER_KEY))
CHANGES = (
    Change(
        Action.UPDATE,
        "mtu of wg0",
        "",
        do=(("ip", "link", "set", "dev", "wg0", "mtu", "1300"),),
        undo=(("ip", "link", "set", "dev", "wg0", "mtu", "1440"),),
    ),
    Change(
        Action.CREATE,
        "address 10.99.0.7/16",
        "",
        do=(("ip", "address", "replace", "10.99.0.7/16", "dev", "wg0"),),
        undo=(("ip", "address", "del", "10.99.0.7/16", "dev", "wg0"),),
    ),
    Change(
        Action.UPDATE,
        "peer b",
        "",
        do=((*PEER, "endpoint", "192.0.2.9:9", "persistent-keepalive", "25"),),
        undo=((*PEER, "endpoint", "192.0.2.2:51820", "persistent-keepalive", "0"),),
    ),
)


def make_key(machine: Sandbox) -> PublicKey:
    return PublicKey(machine.ask(make_key_script("wg0")).removeprefix("public_key="))


def lone(machine: Sandbox) -> tuple[NodeDesired, PublicKey]:
    """Machine `a` with a key, and what it should have: `b` as a peer that nobody has seen."""
    key = make_key(machine)
    return desired(A, a=key, b=OTHER_KEY), key


def look(machine: Sandbox, shell: tuple[str, ...] = ("dash", "-s")) -> NodeState:
    """What a look at a machine tells."""
    done = machine.sh(probe_script("wg0", "NONCE"), shell=shell)
    return parse_state(NodeName("a"), split_sections(done.stdout, "NONCE"))


def seen(machine: Sandbox) -> str:
    """Its fingerprint."""
    return look(machine).fingerprint


def plan_of(machine: Sandbox, *changes: Change) -> NodePlan:
    """What is planned for a machine as it is now."""
    return NodePlan(A, changes, fingerprint=seen(machine))


def fresh_plan(machine: Sandbox, want: NodeDesired) -> NodePlan:
    """What is planned for a machine that has nothing yet."""
    peer = ("peer", str(OTHER_KEY), "endpoint", "192.0.2.2:51820", "allowed-ips", "10.99.0.2/32")
    change = Change(
        Action.CREATE,
        "peer b",
        "new",
        do=(("wg", "set", "wg0", *peer),),
        undo=(("wg", "set", "wg0", "peer", str(OTHER_KEY), "remove"),),
    )
    return NodePlan(
        A,
        (change,),
        first_config=want.bare_config,
        start=True,
        enable=True,
        config=want.config,
        fingerprint=seen(machine),
    )


def stage(
    want: NodeDesired,
    plan: NodePlan,
    key: PublicKey,
    *,
    hand: Hand = HAND,
    generation: int = 7,
    heard: tuple[Neighbour, ...] = (),
) -> str:
    note = Note("pair", generation, "feed", hand.who, WHEN, plan.summary)
    return hand.stage(want, plan, key, note=note, heard=heard)


def commit(plan: NodePlan, *, hand: Hand = HAND, seconds: int = 60) -> str:
    return hand.commit(plan, seconds=seconds)


def confirm(want: NodeDesired, *, hand: Hand = HAND) -> str:
    return hand.confirm(want.config)


def start_up(
    machine: Sandbox, *, hand: Hand = HAND, seconds: int = 60
) -> tuple[NodeDesired, PublicKey, NodePlan]:
    """Machine `a` staged and committed, nothing confirmed."""
    want, key = lone(machine)
    plan = fresh_plan(machine, want)
    machine.ask(stage(want, plan, key, hand=hand))
    machine.ask(commit(plan, hand=hand, seconds=seconds))
    return want, key, plan


def settle(machine: Sandbox) -> tuple[NodeDesired, PublicKey]:
    """Machine `a` with generation 7 confirmed, and nobody at it."""
    want, key, _ = start_up(machine, hand=EARLIER)
    assert machine.ask(confirm(want, hand=EARLIER)) == "outcome=confirmed"
    return want, key


def change(
    machine: Sandbox, *changes: Change, seconds: int = 60, generation: int = 8
) -> tuple[NodeDesired, NodePlan]:
    """A settled machine on which further changes are committed and wait. Its new file has another MTU."""
    want, key = settle(machine)
    want = remade(want)
    plan = plan_of(machine, *(changes or CHANGES))
    machine.ask(stage(want, plan, key, generation=generation))
    machine.ask(commit(plan, seconds=seconds))
    return want, plan


def remade(want: NodeDesired) -> NodeDesired:
    """The same with another file."""
    head = want.config.head.replace("MTU = 1440", "MTU = 1300")
    return replace(want, config=replace(want.config, head=head))


def running(machine: Sandbox) -> str:
    """All that a rollback must bring back: the interface as `wg` and `ip` have it."""
    return machine.ask(
        "wg showconf wg0; ip -o address show dev wg0 scope global | cut -d' ' -f 2-;"
        " ip -4 route show; cat /sys/class/net/wg0/mtu"
    )


def left(machine: Sandbox) -> str:
    """What an apply left lying about: files beside the real ones, and a process that waits."""
    machine.ask(f"n=0; while {WAITING} >/dev/null && test $n -lt 40; do n=$((n + 1)); sleep 0.1; done")
    return machine.ask(
        "ls /etc/wireguard/.wireloom; cd /run/wireloom/wg0 2>/dev/null && ls | grep -vx -e busy -e guard;"
        f" cd /var/lib/wireloom && ls | grep next; ls history/wg0 | grep next; {WAITING}; true"
    )


def wait_for(machine: Sandbox, condition: str) -> None:
    """Until a shell condition holds on the machine; at most 20 s."""
    machine.ask(f"n=0; until {condition}; do n=$((n + 1)); test $n -lt 400 || exit 1; sleep 0.05; done")


def complaints(machine: Sandbox, script: str) -> str:
    """What a script that must fail tells the operator."""
    done = machine.sh(script)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr
