"""``--what-if``: what it changes, and what is wrong with one that makes no sense."""

import pytest

from tests.advise.fleets import LAN, PUBLIC, cluster, facts_of
from wireloom.advise.assumption import ASSUMPTIONS, parse_assumptions
from wireloom.advise.choice import Choice, Layer
from wireloom.errors import UserError

CHOICES: dict[str, tuple[Choice, str, list[str]]] = {
    "nothing": (Choice(Layer.UNDERLAY, "flannel", "vxlan"), "", []),
    "the plugin encrypts": (Choice(Layer.CNI, "flannel", "wireguard-native"), "", ["encrypt=cni"]),
    "both": (Choice(Layer.BOTH, "flannel", "wireguard-native"), "", ["encrypt=both"]),
    "back to the machines": (Choice(), "encrypt: cni", ["encrypt=underlay"]),
    "the backend stays where it fits": (
        Choice(Layer.UNDERLAY, "flannel", "host-gw"),
        "flannel_backend: host-gw",
        ["encrypt=underlay"],
    ),
    "and goes where it does not": (
        Choice(Layer.CNI, "flannel", "wireguard-native"),
        "flannel_backend: host-gw",
        ["encrypt=cni"],
    ),
    "another plugin has no backend": (Choice(Layer.UNDERLAY, "calico", None), "", ["cni=calico"]),
    "flannel again": (
        Choice(Layer.CNI, "flannel", "wireguard-native"),
        "encrypt: cni, cni: cilium",
        ["cni=flannel"],
    ),
    "in whatever order": (
        Choice(Layer.BOTH, "flannel", "wireguard-native"),
        "",
        ["flannel_backend=wireguard-native", "encrypt=both"],
    ),
    "Cilium, all of it": (
        Choice(Layer.CNI, "cilium", None, True),
        "",
        ["node_encryption=yes", "cni=cilium", "encrypt=cni"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "keys", "what_if"), CHOICES.values(), ids=CHOICES)
def test_the_choice_that_is_assumed(expected: Choice, keys: str, what_if: list[str]) -> None:
    assert expected == facts_of(cluster(PUBLIC, keys), *what_if).choice


WRONG: dict[str, tuple[str, str, list[str]]] = {
    "a slip": ("`mash` is nothing to assume: did you mean `mesh`?", "one of: encrypt, cni, ", ["mash=none"]),
    "another thing": ("`xyzzy` is nothing to assume", "one of: encrypt, cni, ", ["xyzzy=1"]),
    "no value": ("`public` has no value", "write public=yes|no", ["public"]),
    "an empty value": ("`` is not a value of public", "one of: yes, no", ["public="]),
    "a slip in the value": (
        "`istio-strickt` is not a value of mesh: did you mean `istio-strict`?",
        "one of: none, linkerd, istio-permissive, istio-strict",
        ["mesh=istio-strickt"],
    ),
    "no key": ("`` is nothing to assume", "one of: ", ["=cni"]),
    "two of one": (
        "encrypt is to be both `cni` and `both`",
        "assume one of them",
        ["encrypt=cni", "encrypt=both"],
    ),
    "a backend that the layer does not go with": (
        "`wireguard-native` encrypts what the underlay encrypts already",
        "assume `flannel_backend=vxlan`, or `encrypt=both`",
        ["flannel_backend=wireguard-native"],
    ),
    "a backend that does not encrypt": (
        "`vxlan` does not encrypt",
        "assume `flannel_backend=wireguard-native`, or leave it out",
        ["encrypt=cni", "flannel_backend=vxlan"],
    ),
    "flannel's backend for another": (
        "`vxlan` is a backend of flannel",
        "remove `flannel_backend`, or assume `cni=flannel`",
        ["cni=calico", "flannel_backend=vxlan"],
    ),
    "what is Cilium's alone": (
        "`node_encryption` is Cilium's",
        "--what-if cni=cilium",
        ["node_encryption=no"],
    ),
    "what steers a terminal": ("`\\x1b[31m` is nothing to assume", "one of: ", ["\x1b[31m=yes"]),
}  # fmt: skip


@pytest.mark.parametrize(("what", "hint", "what_if"), WRONG.values(), ids=WRONG)
def test_a_wrong_assumption_says_what_to_write(what: str, hint: str, what_if: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        facts_of(LAN, *what_if)
    (told,) = raised.value.diagnostics
    assert told.where == "--what-if"
    assert told.what.startswith(what)
    assert hint in told.hint


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(UserError) as raised:
        parse_assumptions(["mash=none", "public", "encrypt=cni", "mesh=x"])
    assert len(raised.value.diagnostics) == 3


EVERY = [(one.key, value) for one in ASSUMPTIONS for value in one.values]


@pytest.mark.parametrize(("key", "value"), EVERY)
def test_every_value_that_is_offered_changes_the_facts_or_is_what_they_are(key: str, value: str) -> None:
    one = next(one for one in ASSUMPTIONS if one.key == key)
    facts = facts_of(cluster(PUBLIC))
    same = (key, value) in {
        ("encrypt", "underlay"),
        ("cni", "flannel"),
        ("flannel_backend", "vxlan"),
        ("datastore", "embedded"),
    }
    assert (one.assume(facts, value) == facts) is same
