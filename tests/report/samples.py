"""One of each thing that is reported, with every kind of line in it."""

from wireloom.apply.outcome import Ending, NodeOutcome, Outcome
from wireloom.errors import Diagnostic, Severity
from wireloom.observe.state import Generation, Unreachable
from wireloom.plan.plan import Action, Change, NodePlan, Plan, Risk
from wireloom.preflight.finding import Check, Finding
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, Evidence, PacketSeen, Verdict

CP1, W1, DB1, NAS1 = map(NodeName, ("cp1", "w1", "db1", "nas1"))

PLAN = Plan(
    fleet="shop",
    generation=5,
    nodes=(
        NodePlan(
            CP1,
            (
                Change(Action.UPDATE, "mtu of wg0", "1420 → 1440", Risk.BRIEF),
                Change(Action.CREATE, "peer w1", "new"),
            ),
        ),
        NodePlan(W1, (Change(Action.START, "interface wg0", "gone"),)),
        NodePlan(DB1),
    ),
    unreachable=(Unreachable(NAS1, "no answer", "is it up?"),),
    refusals=(Diagnostic("not ours", "w1", "take it away"),),
    notes=(Diagnostic("no `ssh`", "nas1", severity=Severity.WARNING),),
)

FINDINGS = (
    Finding(CP1, Check.RANGE, "eth1 has 10.99.7.7/24", "ip address del 10.99.7.7/24 dev eth1"),
    *(Finding(one, Check.TOOLS, "tcpdump not found", "apt-get", Severity.WARNING) for one in (CP1, W1, DB1)),
    Finding(W1, Check.ANSWER, "no answer"),
)

EVIDENCE = Evidence(
    claims=(
        Claim("answers", CP1, W1, Verdict.HOLDS, "3 of 3"),
        Claim("handshake", CP1, W1, Verdict.UNKNOWN, "cut short"),
        Claim(
            "mtu",
            W1,
            CP1,
            Verdict.FALSIFIED,
            "1300 of 1500",
            (PacketSeen(5.0, W1, "eth0", True, "ICMP", 700),),
        ),
    ),
    pairs=2,
    all_pairs=6,
)

SILENT = Evidence(
    claims=(
        *(Claim("answers", CP1, one, Verdict.UNKNOWN, "no answer") for one in (W1, DB1)),
        Claim("answers", W1, CP1, Verdict.FALSIFIED, "0 of 3 answered"),
        Claim("answers", W1, DB1, Verdict.HOLDS, "3 of 3 answered"),
        *(Claim("answers", DB1, one, Verdict.UNKNOWN, "no answer") for one in (CP1, W1)),
        Claim("mtu", CP1, W1, Verdict.UNKNOWN, "no answer"),
        Claim("mtu", NAS1, W1, Verdict.UNKNOWN, "no `ssh`"),
    ),
    pairs=6,
    all_pairs=6,
    unasked=(
        Unreachable(CP1, "no answer", "is it up?"),
        Unreachable(DB1, "no answer", "is it up?"),
        Unreachable(NAS1, "no `ssh`"),
    ),
)
"""Three that could not be asked, two of them for the same reason."""

MAY_1, MAY_2 = "2026-05-01T12:00:00+00:00", "2026-05-02T12:00:00+00:00"
HISTORY = {
    CP1: [
        Generation(1, "ada@laptop", MAY_1, "create peer w1"),
        Generation(3, "eve@desk", MAY_2, "create peer w1", present=True),
    ],
    DB1: [
        Generation(1, "ada@laptop", MAY_1, "start interface wg0"),
        Generation(3, "eve@desk", MAY_2, "create peer w1", present=True),
    ],
}
"""What was the same on all nodes, and what was not."""

OUTCOME = Outcome(
    5,
    (
        NodeOutcome(CP1, Ending.ROLLED_BACK),
        NodeOutcome(W1, Ending.FAILED, "no space", "make some", "stage"),
        NodeOutcome(NAS1, Ending.PENDING, "no answer"),
        NodeOutcome(DB1, Ending.UNCHANGED),
    ),
)
