"""In which order the nodes change: one that shows that it works, then the others."""

from wireloom.apply.order import Order
from wireloom.values import NodeName

Wave = tuple[NodeName, ...]


def make_waves(order: Order, max_parallel: int) -> list[Wave]:
    """The nodes that change, in waves: each is proven before the next begins.

    A canary goes first where there is a network to lose. Every node keeps to the old network what it needs
    until the others have the new one, so a mixture of the two connects; where it can't (`Change.together`)
    all nodes change at once. Those that only dial come after those that are dialled.
    """
    changing = order.changing
    names = sorted(changing, key=lambda name: (name in order.nat, name))
    if any(change.together for node in changing.values() for change in node.changes):
        return [tuple(names)]
    canaries = [name for name in names if not changing[name].start and changing[name].commands]
    canary = canaries[:1] if len(canaries) > 1 else []
    rest = [name for name in names if name not in canary]
    size = max_parallel or max(len(rest), 1)
    return [tuple(canary)] * bool(canary) + [
        tuple(rest[start : start + size]) for start in range(0, len(rest), size)
    ]
