"""A snapshot with one of each: all is well, drifted, away, not asked."""

from dataclasses import replace

from wireloom.exporter.snapshot import NodeReading, PeerReading, Snapshot
from wireloom.exporter.verified import KindVerified, NoReport, Verified
from wireloom.values import NodeName, SiteName
from wireloom.verify.claim import Verdict

CP1, W1, DB1, NAS1 = map(NodeName, ("cp1", "w1", "db1", "nas1"))
FSN, OFFICE = map(SiteName, ("fsn", "office"))

VERIFIED = Verified(
    at=1.7e9,
    verdict=Verdict.UNKNOWN,
    claims={"canary": KindVerified(1.6e9, {Verdict.HOLDS: 71, Verdict.FALSIFIED: 0, Verdict.UNKNOWN: 1})},
)

SNAPSHOT = Snapshot(
    fleet="shop",
    generation=7,
    nodes=(
        NodeReading(
            name=CP1,
            site=FSN,
            planned=3,
            reachable=True,
            up=True,
            generation=7,
            received=4096,
            sent=2**53,
            drift=0,
            errors=0,
            peers=(PeerReading(W1, 12.5, 1000, 2000), PeerReading(DB1, 180.5, 7, 8), PeerReading(NAS1)),
            unanswered=1,
        ),
        NodeReading(W1, FSN, 3, reachable=True, up=False, drift=2, errors=0, peers=(), unanswered=0),
        NodeReading(DB1, FSN, 3, reachable=False),
        NodeReading(NAS1, OFFICE, 3),
    ),
    verified=VERIFIED,
    taken=1.8e9,
    seconds=1.25,
)

UNVERIFIED = replace(SNAPSHOT, verified=NoReport.ABSENT)
