"""The probes of one run: what is made in the cluster for them, and what became of it. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from wireloom.observe.probes import split_sections
from wireloom.observe.shell import read_functions
from wireloom.values import Address, NodeName

PORT = 8080
"""Where a probe tells the name of its machine, over HTTP."""

READY_SECONDS = 60
"""How long probes may take to be Ready: their image may have to be fetched."""

LIFETIME = 900
"""Seconds after which Kubernetes itself ends a probe: the operator's connection may be gone."""

USER = 65534

FUNCTIONS = read_functions("wireloom.verify.cluster", "probes.sh")

IMAGE = re.compile(r"[a-z0-9]([a-z0-9._:/@-]|[A-Z])*")
"""What may be the name of an image (github.com/distribution/reference)."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the probes are to stand on: the image that they can have, and the server's clock."""

    image: str
    began: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe. ``why``: what keeps it from being ready, in Kubernetes' own words."""

    addresses: tuple[Address, ...] = ()
    ready: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes of a run, the services that lead to one of them each, and where the API's own service is."""

    pods: Mapping[NodeName, Probe] = field(default_factory=dict)
    services: Mapping[NodeName, tuple[Address, ...]] = field(default_factory=dict)
    api: tuple[Address, ...] = ()

    def ready(self, name: NodeName) -> bool:
        """Whether that machine's probe can be tried."""
        probe = self.pods.get(name)
        return probe is not None and probe.ready and bool(probe.addresses)

    def trouble(self, name: NodeName) -> str:
        """Why not."""
        probe = self.pods.get(name)
        return (probe and probe.why) or "there is no probe there"


def survey_script(probe: str, nonce: str) -> str:
    """Take away what earlier runs left behind, and print which images could be a probe's, and the clock."""
    return f"{_begin(probe)}sweep_probes\nsurvey_images {nonce}\n"


def read_survey(text: str, nonce: str, wanted: str | None) -> Ground:
    """Raises ValueError, in words for the operator, where there is no image or the answer makes no sense."""
    sections = split_sections(text, nonce)
    clock = sections.get("clock", "").strip()
    if not clock.isdecimal():
        raise ValueError("the server did not tell its time")
    if wanted:
        return Ground(wanted, int(clock))
    helper = re.search(r'image: *"?([^"\s]+)', sections.get("helper", ""))
    there = [line.strip() for line in sections.get("images", "").splitlines() if "busybox" in line]
    image = helper[1] if helper else next(iter(sorted(there, key=len)), "")
    if not IMAGE.fullmatch(image):
        raise ValueError("no image for the probes is known there: name one that has busybox, --probe-image")
    return Ground(image, int(clock))


def raising_script(probe: str, nonce: str, nodes: Sequence[NodeName], ground: Ground) -> str:
    """Make the probes, wait until they are Ready, and print them as Kubernetes knows them."""
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_items(probe, nodes, ground))})
    return f"{_begin(probe)}raise_probes {READY_SECONDS} {nonce} <<'MANIFEST'\n{manifest}\nMANIFEST\n"


def removing_script(probe: str) -> str:
    """Take them away."""
    return f"{_begin(probe)}remove_probes\n"


def pod_name(nodes: Sequence[NodeName], name: NodeName) -> str:
    """What the probe on a machine is called. A service's name has no dots, so it is not the machine's."""
    return f"probe-{list(nodes).index(name)}"


def mark_of(probe: str, name: NodeName) -> str:
    """What one probe has in its environment and nobody else: how its machine finds its process."""
    return f"{probe}/{name}/"


def _begin(probe: str) -> str:
    return f"probe={probe}\n{FUNCTIONS}"


def _items(probe: str, nodes: Sequence[NodeName], ground: Ground) -> Iterator[dict[str, Any]]:
    labels = {"wireloom": "verify", "wireloom-began": str(ground.began)}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": probe, "labels": labels}}
    # One of its own: the default one is made later than the namespace, and a pod may come too early.
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "probe", "namespace": probe},
        "automountServiceAccountToken": False,
    }
    for name in nodes:
        called = pod_name(nodes, name)
        about = {"name": called, "namespace": probe, "labels": {"wireloom": "verify", "probe": called}}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": _pod(probe, name, ground)}
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": called, "namespace": probe, "labels": {"wireloom": "verify"}},
            "spec": {
                "selector": {"probe": called},
                "ipFamilyPolicy": "PreferDualStack",
                "ports": [{"port": PORT, "targetPort": PORT}],
            },
        }


_SERVE = f'echo "$MACHINE" >/srv/index.html && echo "probe $PROBE" && exec httpd -f -p {PORT} -h /srv'


def _pod(probe: str, name: NodeName, ground: Ground) -> dict[str, Any]:
    """As little as it can be: nothing of it is root's, and the "restricted" standard lets it in.

    kubernetes.io/docs/concepts/security/pod-security-standards
    """
    return {
        "nodeName": name,
        "serviceAccountName": "probe",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "activeDeadlineSeconds": LIFETIME,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "srv", "emptyDir": {}}],
        "containers": [
            {
                "name": "probe",
                "image": ground.image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", _SERVE],
                "env": [
                    {"name": "MACHINE", "value": name},
                    {"name": "PROBE", "value": mark_of(probe, name)},
                ],
                "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}},
                "volumeMounts": [{"name": "srv", "mountPath": "/srv"}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def read_probes(text: str, nonce: str, nodes: Sequence[NodeName]) -> Probes:
    """What ``raising_script`` printed of these machines. Raises ValueError, in words, if it is not whole."""
    sections = split_sections(text, nonce)
    if refusal := sections.get("refused", "").strip():
        raise ValueError(refusal.splitlines()[-1])
    try:
        items = json.loads(sections["probes"])["items"]
        api = json.loads(sections["api"])
        named = {pod_name(nodes, name): name for name in nodes}
        pods = {
            named[one["metadata"]["name"]]: _read_pod(one)
            for one in items
            if one["kind"] == "Pod" and one["metadata"]["name"] in named
        }
        services = {
            named[one["metadata"]["name"]]: _read_service(one)
            for one in items
            if one["kind"] == "Service" and one["metadata"]["name"] in named
        }
        return Probes(pods, services, _read_service(api))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError("what the server tells of the probes makes no sense") from None


def _read_pod(pod: Mapping[str, Any]) -> Probe:
    status = pod.get("status", {})
    addresses = tuple(ip_address(one["ip"]) for one in status.get("podIPs", ()))
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    ready = conditions.get("Ready", {}).get("status") == "True"
    return Probe(addresses, ready, "" if ready else _explain(status))


def _explain(status: Mapping[str, Any]) -> str:
    """Why a pod is not ready, by what is told of its container, or of itself."""
    for container in status.get("containerStatuses", ()):
        state = container.get("state", {})
        for stopped in (state.get("waiting"), state.get("terminated")):
            if stopped:
                words = " ".join(str(stopped.get("message", "")).split())
                reason = str(stopped.get("reason", "stopped"))
                return f"its probe is not ready: {reason}{f' ({words[:160]})' if words else ''}"
    reason = str(status.get("reason") or status.get("phase") or "nobody says why")
    return f"its probe is not ready: {reason}"


def _read_service(service: Mapping[str, Any]) -> tuple[Address, ...]:
    spec = service["spec"]
    return tuple(ip_address(one) for one in spec.get("clusterIPs") or [spec["clusterIP"]])
