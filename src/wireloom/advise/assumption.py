"""What a user may assume of a fleet beside what its file says: ``--what-if KEY=VALUE``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wireloom.advise.choice import Choice, Layer
from wireloom.advise.facts import Facts, Known, Mesh
from wireloom.errors import Diagnostic, UserError
from wireloom.intent.cluster import mismatch, usual_backend
from wireloom.intent.finding import show, suggest

YES_NO = ("yes", "no")
WHERE = "--what-if"


@dataclass(frozen=True, slots=True)
class Assumption:
    """A key, its values, what it means, and what a fleet is with one of the values."""

    key: str
    values: tuple[str, ...]
    says: str
    assume: Callable[[Facts, str], Facts]


def _known(field: str, says: str, seen: str) -> Assumption:
    """A yes or no about a fact of that name; ``seen`` is how a rule tells it."""

    def assume(facts: Facts, value: str) -> Facts:
        told = Known(value == "yes", f"{seen} (assumed)")
        return replace(facts, **{field: told})  # type: ignore[arg-type]  # the fields named below are Known

    return Assumption(field, YES_NO, says, assume)


def _mesh(facts: Facts, value: str) -> Facts:
    return replace(facts, mesh=Mesh(value))


def _datastore(facts: Facts, value: str) -> Facts:
    return replace(facts, external_datastore=value == "external")


def _encrypt(facts: Facts, value: str) -> Facts:
    return replace(facts, choice=facts.choice.under(Layer(value)))


def _cni(facts: Facts, value: str) -> Facts:
    layer = facts.choice.layer
    same = value == facts.choice.cni
    backend = facts.choice.backend if same else usual_backend(value, layer)
    return replace(facts, choice=replace(facts.choice, cni=value, backend=backend))


def _backend(facts: Facts, value: str) -> Facts:
    return replace(facts, choice=replace(facts.choice, backend=value))


def _node_encryption(facts: Facts, value: str) -> Facts:
    return replace(facts, choice=replace(facts.choice, node_encryption=value == "yes"))


# In the order in which they are assumed: a backend goes with the layer and the plugin that are.
ASSUMPTIONS = (
    Assumption("encrypt", tuple(Layer), "the layer that encrypts, as in fleet.yaml", _encrypt),
    Assumption("cni", ("flannel", "calico", "cilium"), "the network plugin", _cni),
    Assumption(
        "flannel_backend", ("vxlan", "host-gw", "wireguard-native"), "how flannel carries pods", _backend
    ),
    Assumption("node_encryption", YES_NO, "Cilium's nodeEncryption is on", _node_encryption),
    Assumption("datastore", ("embedded", "external"), "where the cluster keeps its state", _datastore),
    _known("public", "nodes have public addresses", "nodes have public addresses"),
    _known("apart", "nodes are in several sites or clouds", "nodes are in several sites"),
    _known("servers_apart", "k3s servers are in several sites", "k3s servers are in several sites"),
    _known("nat", "nodes of the cluster are behind NAT", "nodes are behind NAT"),
    _known("egress_firewall", "a firewall decides what leaves the network", "an egress firewall"),
    _known("outside", "hosts outside Kubernetes need encryption, too", "hosts are outside Kubernetes"),
    _known(
        "independent",
        "the network has to stay up when Kubernetes is unwell",
        "the network has to stay up when Kubernetes is unwell",
    ),
    _known("two_layers", "a rule of yours demands two layers", "a rule of yours demands two layers"),
    _known("cloud_controller", "a cloud controller manager runs", "a cloud controller manager runs"),
    _known("flannel_external_ip", "k3s has flannel-external-ip set", "flannel-external-ip is set"),
    Assumption("mesh", tuple(Mesh), "the service mesh", _mesh),
)
_BY_KEY = {one.key: one for one in ASSUMPTIONS}


def parse_assumptions(texts: Sequence[str]) -> dict[str, str]:
    """``["encrypt=cni", …]`` by key. Raises UserError with every mistake at once."""
    found: dict[str, str] = {}
    wrong = [one for text in texts if (one := _take(text, found)) is not None]
    if wrong:
        raise UserError(wrong)
    return found


def _take(text: str, found: dict[str, str]) -> Diagnostic | None:
    """Put one assumption into ``found``, or say what is wrong with it."""
    key, equals, value = text.partition("=")
    known = _BY_KEY.get(key)
    if known is None:
        what = f"{show(key)} is nothing to assume{suggest(key, list(_BY_KEY))}"
        return Diagnostic(what, WHERE, f"one of: {', '.join(_BY_KEY)}")
    if not equals:
        return Diagnostic(f"{show(text)} has no value", WHERE, f"write {key}={'|'.join(known.values)}")
    if value not in known.values:
        what = f"{show(value)} is not a value of {key}{suggest(value, list(known.values))}"
        return Diagnostic(what, WHERE, f"one of: {', '.join(known.values)}")
    if found.setdefault(key, value) != value:
        what = f"{key} is to be both {show(found[key])} and {show(value)}"
        return Diagnostic(what, WHERE, "assume one of them, and ask again for the other")
    return None


def assume(facts: Facts, assumed: dict[str, str]) -> Facts:
    """The facts as assumed. Raises UserError where the assumptions don't go together, or with the file."""
    for one in ASSUMPTIONS:
        if one.key in assumed:
            facts = one.assume(facts, assumed[one.key])
    choice: Choice = facts.choice
    wrong = mismatch(choice.cni, choice.layer, choice.backend)
    if wrong is not None:
        what, hint = wrong  # in the words of the file, `KEY: VALUE`
        raise UserError.one(what, where=WHERE, hint=hint.replace("write", "assume").replace(": ", "="))
    if "node_encryption" in assumed and choice.cni != "cilium":
        what = f"`node_encryption` is Cilium's, and the network plugin is {choice.cni}"
        raise UserError.one(what, where=WHERE, hint="add --what-if cni=cilium, or leave it out")
    return facts
