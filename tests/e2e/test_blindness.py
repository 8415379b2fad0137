"""A capture that can't see proves nothing: its claims are unknown, and none of them holds."""

from typing import Any

import pytest

from tests.e2e.world import World

Evidence = dict[tuple[str, str, str | None], tuple[str, str]]
"""Verdict and detail by kind and ends of a claim."""

KINDS = {"canary", "dial", "fragments", "clear"}
STAND_IN = """\
mount -t tmpfs stand-in /usr/local/sbin
cat >/usr/local/sbin/tcpdump <<'END'
#!/bin/sh
real={real}
{script}END
chmod +x /usr/local/sbin/tcpdump
"""
# Arguments are taken from the front and put back, changed or not, at the end.
OTHER_FILTER = """\
places=$# place=0
for word; do
    place=$((place + 1)); shift
    [ $place -lt $places ] || word='{wanted}'
    set -- "$@" "$word"
done
exec "$real" "$@\"
"""
OTHER_INTERFACE = """\
for word; do
    shift
    case $word in any) word=lo ;; -y | LINUX_SLL2) continue ;; esac
    set -- "$@" "$word"
done
exec "$real" "$@\"
"""
KILLED = """\
said=$(readlink /proc/$$/fd/2)
"$real" "$@" &
catcher=$!
{ until grep -q listening "$said"; do sleep 0.05; done; kill -KILL $catcher; } >/dev/null 2>&1 </dev/null &
wait $catcher
"""
NO_CONTROL = "no control beside the tunnel was seen on w1: its capture proves nothing"
PINGS_ONLY = "no control over udp, no control over tcp was seen on cp2: its capture proves nothing"
BLIND = {
    "w1": (NO_CONTROL, OTHER_FILTER.format(wanted="port 1")),
    "cp2": (PINGS_ONLY, OTHER_FILTER.format(wanted="icmp or icmp6")),
    "db1": ("db1: a capture of link type 1, not of all interfaces", OTHER_INTERFACE),
    "build1": ("build1: tcpdump ended too early: Killed", KILLED),
}
"""What is told of each, and its stand-in. cp1 sees."""


@pytest.fixture(scope="module")
def seeing(applied: World) -> Evidence:
    """What is claimed where all have the real one."""
    return read(applied.json("verify", "--audit", "5s"))


@pytest.fixture(scope="module")
def blinded(applied: World, seeing: Evidence) -> Evidence:
    """What is claimed of the same mesh where four machines have another tcpdump."""
    for node, (_, script) in BLIND.items():
        real = applied.shell(node, "command -v tcpdump").strip()
        applied.shell(node, STAND_IN.format(real=real, script=script))
    evidence = applied.json("verify", "--audit", "5s", expect=1)
    for node in BLIND:
        applied.shell(node, "umount /usr/local/sbin")
    return read(evidence)


def read(evidence: Any) -> Evidence:
    return {
        (one["claim"], one["from"], one["to"]): (one["verdict"], one["detail"])
        for one in evidence["claims"]
        if one["claim"] in KINDS
    }


def test_with_the_real_one_all_holds(seeing: Evidence) -> None:
    assert {verdict for verdict, _ in seeing.values()} == {"holds"}
    assert {kind for kind, _, _ in seeing} == KINDS


@pytest.mark.parametrize("node", BLIND)
@pytest.mark.parametrize("kind", ["canary", "fragments"])
def test_what_a_blind_one_sent_is_unknown(kind: str, node: str, blinded: Evidence) -> None:
    why, _ = BLIND[node]
    others = [name for name in ("cp1", *BLIND) if name != node]
    assert [blinded[kind, node, other] for other in others] == [("unknown", why)] * len(others)


@pytest.mark.parametrize("node", BLIND)
@pytest.mark.parametrize("kind", ["canary", "fragments"])
def test_what_was_sent_to_a_blind_one_is_unknown(kind: str, node: str, blinded: Evidence) -> None:
    verdict, why = blinded[kind, "cp1", node]
    told, _ = BLIND[node]
    assert (verdict, why) == ("unknown", told.removesuffix(": its capture proves nothing"))


def test_nothing_is_falsified_and_an_audit_holds_where_its_ping_was_seen(
    seeing: Evidence, blinded: Evidence
) -> None:
    assert blinded.keys() == seeing.keys()
    assert "falsified" not in {verdict for verdict, _ in blinded.values()}
    clear = {node: verdict for (kind, node, _), (verdict, _) in blinded.items() if kind == "clear"}
    assert [clear[node] for node in ("cp1", "w1", "db1", "build1")] == ["holds", *["unknown"] * 3]
