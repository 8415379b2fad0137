"""What ``kubernetes:`` says: what goes together in it, and what of it wireloom can do by now."""

from collections.abc import Iterator

from wireloom.intent.fields import Field, Values
from wireloom.intent.finding import Finding, show
from wireloom.intent.schema import CNI, ENCRYPT, FLANNEL_BACKEND, KUBERNETES

# docs.k3s.io/networking/basic-network-options: "To enable encryption, use the wireguard-native backend."
ENCRYPTING_BACKEND = "wireguard-native"

# A key, what is not there yet of its values, and what is.
_LATER: tuple[tuple[Field[str], tuple[str, ...], str], ...] = ((CNI, ("calico", "cilium"), "flannel"),)


def usual_backend(cni: str, encrypt: str) -> str | None:
    """How flannel carries pods where nobody says otherwise; None for another network plugin."""
    if cni != "flannel":
        return None
    return "vxlan" if encrypt == "underlay" else ENCRYPTING_BACKEND


def mismatch(cni: str, encrypt: str, backend: str | None) -> tuple[str, str] | None:
    """What is wrong with a flannel backend beside the other two, and what to write instead; None: nothing."""
    if backend is None:
        return None
    if cni != "flannel":
        what = f"{show(backend)} is a backend of flannel, and the network plugin is {cni}"
        return what, "remove `flannel_backend`, or write `cni: flannel`"
    if encrypt == "underlay" and backend == ENCRYPTING_BACKEND:
        what = f"{show(backend)} encrypts what the underlay encrypts already"
        return what, "write `flannel_backend: vxlan`, or `encrypt: both` if twice is what you want"
    if encrypt != "underlay" and backend != ENCRYPTING_BACKEND:
        what = f"{show(backend)} does not encrypt, and `encrypt: {encrypt}` wants flannel to"
        return what, f"write `flannel_backend: {ENCRYPTING_BACKEND}`, or leave it out"
    return None


def check_cluster(top: Values) -> Iterator[Finding]:
    """The flannel backend fits the network plugin and the layer that encrypts."""
    kubernetes = top.get(KUBERNETES)
    if kubernetes is None:
        return
    cni, encrypt = kubernetes.get(CNI), kubernetes.get(ENCRYPT)
    if cni is None or encrypt is None:
        return
    wrong = mismatch(cni, encrypt, kubernetes.get(FLANNEL_BACKEND))
    if wrong is not None:
        yield Finding(kubernetes.place(FLANNEL_BACKEND), *wrong)


def check_supported(top: Values) -> Iterator[Finding]:
    """Nothing is asked for that wireloom can't do yet: what it does not do, it does not pass over."""
    kubernetes = top.get(KUBERNETES)
    if kubernetes is None:
        return
    for key, later, supported in _LATER:
        value = kubernetes.get(key)
        if value in later:
            hint = f"supported: {supported}; `wireloom advise` and `wireloom coverage` take it already"
            yield Finding(kubernetes.place(key), f"{show(value)} is not supported yet", hint)
