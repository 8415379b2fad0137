"""Two machines, `a` and `b`, that dial each other, and what they should have."""

from tests.report.graph_fleets import fleet, node, site
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.topology import weave
from wireloom.render.desired import NodeDesired, render_node
from wireloom.values import NodeName, PublicKey

A, B = NodeName("a"), NodeName("b")
OTHER_KEY = PublicKey("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")

PAIR = fleet("pair", [site("x")], [node("a", "x", public="192.0.2.1"), node("b", "x", public="192.0.2.2")])


def lock(*, a: PublicKey | None = None, b: PublicKey | None = None) -> Lock:
    keys = {name: key for name, key in ((A, a), (B, b)) if key is not None}
    return allot(PAIR, Lock(PAIR.name)).with_keys(keys)


def desired(name: NodeName, *, a: PublicKey | None = None, b: PublicKey | None = None) -> NodeDesired:
    """What a node should have: `a` is 10.99.0.1, `b` is 10.99.0.2."""
    return render_node(weave(PAIR, lock(a=a, b=b)), name)
