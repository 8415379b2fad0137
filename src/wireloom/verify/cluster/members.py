"""What the API server tells of its nodes → claims. Pure."""

from collections.abc import Iterator

from wireloom.cluster.seen import ClusterSeen, Member
from wireloom.values import Address
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.cluster.intended import Intended


def judge_members(intended: Intended, seen: ClusterSeen) -> Iterator[Claim]:
    """Whether every machine is Ready, at its addresses; and who else is in the cluster."""
    if seen.members is None:
        why = seen.trouble or "no server of the cluster could tell"
        for name in intended.sites:
            yield Claim("nodes", name, None, Verdict.UNKNOWN, why)
        return
    for name in intended.sites:
        verdict, detail = _look_at_member(seen.member(name), intended.addresses[name])
        yield Claim("nodes", name, None, verdict, detail)
    for name in seen.members:
        if name not in intended.sites:
            detail = "in the cluster, and not in the fleet file's: nothing of it is tested"
            yield Claim("nodes", name, None, Verdict.UNKNOWN, detail)


def _look_at_member(member: Member | None, wanted: tuple[Address, ...]) -> tuple[Verdict, str]:
    if member is None:
        return Verdict.FALSIFIED, "no node of the cluster"
    where = _name(member.internal)
    if not member.ready:
        return Verdict.FALSIFIED, f"not Ready{f': {member.reason}' if member.reason else ''}"
    if wanted and set(member.internal) != set(wanted):
        detail = f"Ready, at {where} and not at {_name(wanted)}: its packets go beside the underlay"
        return Verdict.FALSIFIED, detail
    return Verdict.HOLDS, f"Ready at {where}{f', {member.version}' if member.version else ''}"


def _name(addresses: tuple[Address, ...]) -> str:
    return " and ".join(map(str, addresses)) or "no address"
