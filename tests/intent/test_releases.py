"""A k3s that is too old for what the fleet file asks of it."""

import pytest

from tests.intent.files import load, mistakes
from tests.intent.test_members import CNI, V6, fleet

TOKEN = "keeps no token for agents that names its cluster, and without it nobody joins"
VOTE = "does not tell which etcd members have a vote, and each server waits for that"
EXTERNAL = "has no `flannel-external-ip`, and across clouds flannel would dial private addresses"
TWO = "takes one address of a machine on an underlay, and pods have IPv4 and IPv6"
IPV6 = "signs no certificate for the API's address in IPv6 services that come before IPv4 ones"

PLAIN = fleet("server@a", "agent@b")
DATABASE = fleet("server@a", "agent@b", kubernetes=", datastore: external")
ACROSS = fleet("server@a", "agent@b", kubernetes=CNI + ", datastore: external")
ONE_SITE = fleet("server@p", "agent@p", kubernetes=CNI + ", datastore: external")
DUAL = ", pods: [10.42.0.0/16, 'fd00:42::/56'], services: [10.43.0.0/16, 'fd00:43::/112']"
BOTH_FAMILIES = fleet("server@a", underlay="ipv4: 10.99.0.0/16, ipv6: 'fd42::/64'", kubernetes=DUAL)
SIX = fleet("server@a", underlay="ipv6: 'fd42::/64'", kubernetes=V6 + ", datastore: external")
SIX_FIRST = BOTH_FAMILIES.replace("[10.42.0.0/16, 'fd00:42::/56']", "['fd00:42::/56', 10.42.0.0/16]").replace(
    "[10.43.0.0/16, 'fd00:43::/112']", "['fd00:43::/112', 10.43.0.0/16]"
)

# name: (the file, its version, what that k3s lacks)
OLD = {
    "older than all": (PLAIN, "v1.20.4+k3s1", [TOKEN, VOTE]),
    "older than what comes first": (DATABASE, "v1.24.3+k3s1", [TOKEN]),
    "just what comes first": (DATABASE, "v1.24.4+k3s1", []),
    "etcd in its servers": (PLAIN, "v1.24.17+k3s1", [VOTE]),
    "a later minor version before its patch": (PLAIN, "v1.27.7+k3s2", [VOTE]),
    "an earlier minor version after its patch": (PLAIN, "v1.25.16+k3s4", []),
    "the last that it came to, before": (PLAIN, "v1.28.3+k3s2", [VOTE]),
    "the last that it came to": (PLAIN, "v1.28.4+k3s2", []),
    "the first that always had it": (PLAIN, "v1.29.0+k3s1", []),
    "numbers, not letters": (PLAIN, "v1.100.0+k3s1", []),
    "newer than what was tried": (PLAIN, "v1.39.0+k3s1", []),
    "the next major version": (PLAIN, "v2.0.0+k3s1", []),
    "across clouds": (ACROSS, "v1.25.2+k3s1", [EXTERNAL]),
    "across clouds, new enough": (ACROSS, "v1.25.3+k3s1", []),
    "in one private network": (ONE_SITE, "v1.25.2+k3s1", []),
    "across clouds, on an underlay": (DATABASE, "v1.25.2+k3s1", []),
    "both families": (BOTH_FAMILIES, "v1.26.11+k3s2", [TWO]),
    "both families, new enough": (BOTH_FAMILIES, "v1.27.8+k3s2", []),
    "IPv6 alone": (SIX, "v1.24.4+k3s1", []),
    "IPv6 first": (SIX_FIRST, "v1.26.1+k3s1", [VOTE, TWO, IPV6]),
    "IPv6 first, new enough but for both": (SIX_FIRST, "v1.26.2+k3s1", [VOTE, TWO]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "version", "lacks"), OLD.values(), ids=OLD)
def test_what_an_old_k3s_lacks(text: str, version: str, lacks: list[str]) -> None:
    found = mistakes(text.replace("v1.34.2+k3s1", version))
    assert [one.what for one in found] == [f"k3s {version} {lack}" for lack in lacks]


def test_it_is_told_at_the_version_with_the_releases_that_have_it_and_the_source() -> None:
    [found] = mistakes(PLAIN.replace("v1.34.2+k3s1", "v1.28.3+k3s1"))
    assert found.where == "fleet.yaml:7:24"
    assert "this came with v1.25.16, v1.26.11, v1.27.8, v1.28.4 (k3s pull request 8724;" in found.hint


def test_somebody_elses_k3s_may_be_of_any_age() -> None:
    assert load(PLAIN.replace("version: v1.34.2+k3s1", "datastore: embedded")).warnings == ()
