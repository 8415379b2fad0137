"""What a person reads of the plan for k3s: step by step, in the order in which it is done."""

from rich.text import Text

from wireloom.cluster.plan import ClusterPlan
from wireloom.grammar import count
from wireloom.report.terminal import out, plan_line, show_diagnostics


def show_cluster_plan(plan: ClusterPlan) -> None:
    """The steps of each machine, and what waits for what."""
    console = out()
    steps = (*plan.servers, *plan.agents)
    for one in steps:
        console.print(Text.assemble((one.name, "bold"), f"  {one.role}"))
        for change in one.changes:
            console.print(plan_line(change, change.target, change.reason))
    if steps:
        console.print(Text(f"k3s: {_order(plan)}.", "bold"))
        console.print("Each waits until what comes before it is ready; nothing of it is undone.")
    elif plan.nodes and not plan.refusals:
        console.print(Text(f"k3s: nothing to change on {count(len(plan.nodes), 'node')}."))
    show_diagnostics([*plan.notes, *plan.refusals])


def _order(plan: ClusterPlan) -> str:
    parts = []
    if plan.servers:
        parts.append(_together(len(plan.servers), "server", "one at a time"))
    if plan.agents:
        parts.append(f"{'then ' if parts else ''}{_together(len(plan.agents), 'agent', 'side by side')}")
    left = sum(1 for one in plan.nodes if not one.changes)
    return ", ".join(parts) + (f"; {left} as they should be" if left else "")


def _together(number: int, what: str, how: str) -> str:
    return f"{count(number, what)}, {how}" if number > 1 else count(number, what)
