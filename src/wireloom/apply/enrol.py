"""From a plan that was approved to an Order: every node has its key, and the plan is made again with them."""

from collections.abc import Mapping
from dataclasses import replace

from wireloom.apply.order import Order
from wireloom.apply.script import make_key_script
from wireloom.apply.step import STEP_TIMEOUT, read_answer, trouble_of
from wireloom.errors import Diagnostic, UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.footing import Footing
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.observe.state import SECRET, KeyKind, NodeState, Seen
from wireloom.plan.fleet import keys_seen, make_plan, pending
from wireloom.plan.plan import Action, Plan
from wireloom.render.desired import network_digest, render_node
from wireloom.transport.crew import Crew
from wireloom.values import NodeName, PublicKey


async def enrol(fleet: Fleet, lock: Lock, seen: Seen, plan: Plan, crew: Crew) -> Order:
    """Have the nodes without a key make one, and settle what is to be done.

    Keys are not undone: one that nobody knows harms nobody. Raises UserError when a node can't make its key,
    and when the plan is not the one that was shown, but for the keys.
    """
    seen = {**seen, **await _make_keys(seen, plan, crew, fleet.underlay.interface)}
    keyed = lock.with_keys(keys_seen(seen)).with_host_keys(crew.host_keys)
    network = weave(fleet, keyed)
    reached = [name for name, state in seen.items() if isinstance(state, NodeState)]
    rendered = {name: render_node(network, name) for name in reached}
    now = make_plan(fleet, lock, network, seen, rendered=rendered)
    _require_same(plan, now)
    return Order(
        plan=now,
        lock=write_ahead(keyed, network, now),
        seen=seen,
        desired={node.name: rendered[node.name] for node in pending(now)},
        interface=fleet.underlay.interface,
        nat=fleet.behind_nat,
    )


def write_ahead(lock: Lock, network: Network, plan: Plan) -> Lock:
    """The lock before anything is begun: from now on some nodes may stand where this plan leads to."""
    footing = Footing.of(network.stance)
    lock = replace(lock, generation=plan.generation, network=network_digest(network))
    return lock.on(lock.footing.joined(footing) if lock.footing else footing)


async def _make_keys(seen: Seen, plan: Plan, crew: Crew, interface: str) -> Mapping[NodeName, NodeState]:
    names = [node.name for node in plan.nodes if node.make_key]
    script = make_key_script(interface)
    answers = await crew.run(dict.fromkeys(names, script), timeout=STEP_TIMEOUT)
    troubles = [trouble for name, answer in answers.items() if (trouble := trouble_of(name, answer, "enrol"))]
    if troubles:
        raise UserError(
            Diagnostic(one.detail, where=str(one.name), hint="nothing was changed") for one in troubles
        )
    made = {}
    for name, answer in answers.items():
        state = seen[name]
        assert isinstance(state, NodeState)  # noqa: S101  # only nodes that were seen are planned
        key = PublicKey(read_answer(answer)["public_key"])
        made[name] = replace(state, key_kind=KeyKind.GOOD, public_key=key, key_access=SECRET)
    return made


def _require_same(shown: Plan, now: Plan) -> None:
    before, after = _outline(shown), _outline(now)
    if not after <= before or any(action is not Action.CREATE for _, action, _ in before - after):
        raise UserError.one(
            "the machines have changed while the plan was looked at", hint="nothing was changed: plan again"
        )


def _outline(plan: Plan) -> set[tuple[NodeName, Action, str]]:
    return {(name, change.action, change.target) for name, change in plan.changes()}
