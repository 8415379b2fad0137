"""The probes in a cluster: what is made for them, and what is told of them."""

import json
from ipaddress import ip_address
from typing import Any

import pytest

from tests.verify.cluster.cluster import CP1, NAMES, W1
from wireloom.verify.cluster.probes import (
    IMAGE,
    Ground,
    Probe,
    Probes,
    raising_script,
    read_probes,
    read_survey,
)

MARK = "wireloom-5eed"
RUN = "wireloom-verify-0a1b2c3d"
HELPER = """\
apiVersion: v1
kind: Pod
spec:
  containers:
  - name: helper-pod
    image: "rancher/mirrored-library-busybox:1.36.1"
    imagePullPolicy: IfNotPresent
"""


def survey(helper: str = "", images: str = "", clock: str = "1700000000") -> str:
    parts = {"clock": clock, "helper": helper, "images": images, "end": ""}
    return "".join(f"\n{MARK} {name}\n{text}\n" for name, text in parts.items())


IMAGES = {
    "the one of the cluster's own helper": (survey(HELPER), None, "rancher/mirrored-library-busybox:1.36.1"),
    "one that is there": (
        survey(images="docker.io/library/busybox:1.37.0\n"),
        None,
        "docker.io/library/busybox:1.37.0",
    ),
    "the one that the user names": (survey(HELPER), "registry.example/box:1", "registry.example/box:1"),
}


@pytest.mark.parametrize(("text", "wanted", "expected"), IMAGES.values(), ids=IMAGES)
def test_the_image_is(text: str, wanted: str | None, expected: str) -> None:
    assert read_survey(text, MARK, wanted) == Ground(expected, 1700000000)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (survey(), "--probe-image"),
        (survey('image: "$(reboot)"'), "--probe-image"),
        (survey(HELPER, clock=""), "its time"),
        (survey(HELPER)[:-8], "cut short"),
        ("", "cut short"),
    ],
    ids=["no image", "no name of one", "no clock", "cut", "empty"],
)
def test_without_ground_there_are_no_probes(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        read_survey(text, MARK, None)


@pytest.mark.parametrize(
    "name", ["busybox", "docker.io/rancher/mirrored-library-busybox:1.36.1", "a/b@sha256:00"]
)
def test_names_of_images(name: str) -> None:
    assert IMAGE.fullmatch(name)


@pytest.mark.parametrize("name", ["", "-rf", "a b", "a;b", "a'b", "a\nb", "$(a)"])
def test_what_is_no_name_of_an_image(name: str) -> None:
    assert not IMAGE.fullmatch(name)


def manifest() -> list[dict[str, Any]]:
    lines = raising_script(RUN, MARK, NAMES, Ground("busybox:1", 1700000000)).splitlines()
    items: list[dict[str, Any]] = json.loads(next(one for one in lines if one.startswith("{")))["items"]
    return items


def test_there_is_a_probe_on_each_machine_and_a_service_for_each() -> None:
    items = manifest()
    assert [one["kind"] for one in items] == ["Namespace", "ServiceAccount", *["Pod", "Service"] * 2]
    pods = [one for one in items if one["kind"] == "Pod"]
    services = [one for one in items if one["kind"] == "Service"]
    assert [one["spec"]["nodeName"] for one in pods] == ["cp1", "w1"]
    assert [one["spec"]["selector"]["probe"] for one in services] == [
        one["metadata"]["labels"]["probe"] for one in pods
    ]
    assert {one["metadata"]["namespace"] for one in items[1:]} == {RUN}


def test_a_namespace_says_when_it_was_made() -> None:
    assert manifest()[0]["metadata"] == {
        "name": RUN,
        "labels": {"wireloom": "verify", "wireloom-began": "1700000000"},
    }


def test_a_probe_may_do_nothing_and_ends_by_itself() -> None:
    """What the "restricted" standard asks for."""
    spec = manifest()[2]["spec"]
    container = spec["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["activeDeadlineSeconds"] <= 900
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert not spec["automountServiceAccountToken"]
    assert container["imagePullPolicy"] == "IfNotPresent"


# --- what is told of them -------------------------------------------------------------------------------


def pod(node: str, number: int, status: dict[str, Any]) -> dict[str, Any]:
    about = {"name": f"probe-{number}"}
    return {"kind": "Pod", "metadata": about, "spec": {"nodeName": node}, "status": status}


def service(number: int) -> dict[str, Any]:
    spec = {"clusterIP": f"10.43.0.{number + 7}", "clusterIPs": [f"10.43.0.{number + 7}"]}
    return {"kind": "Service", "metadata": {"name": f"probe-{number}"}, "spec": spec}


READY = {
    "phase": "Running",
    "podIPs": [{"ip": "10.42.0.7"}],
    "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
}
PULLING = {
    "phase": "Pending",
    "conditions": [{"type": "Ready", "status": "False"}],
    "containerStatuses": [
        {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such\n  host"}}},
    ],
}
API = {"spec": {"clusterIP": "10.43.0.1", "clusterIPs": ["10.43.0.1"]}}


def answer(*items: dict[str, Any], **more: str) -> str:
    parts = {**more, "api": json.dumps(API), "probes": json.dumps({"items": items}), "end": ""}
    return "".join(f"\n{MARK} {name}\n{text}\n" for name, text in parts.items())


def test_probes_are_read() -> None:
    told = read_probes(
        answer(pod("cp1", 0, READY), service(0), pod("w1", 1, PULLING), service(1)), MARK, NAMES
    )
    assert told == Probes(
        {
            CP1: Probe((ip_address("10.42.0.7"),), ready=True),
            W1: Probe((), ready=False, why="its probe is not ready: ImagePullBackOff (no such host)"),
        },
        {CP1: (ip_address("10.43.0.7"),), W1: (ip_address("10.43.0.8"),)},
        (ip_address("10.43.0.1"),),
    )
    assert told.ready(CP1)
    assert not told.ready(W1)
    assert not told.ready(NAMES[1])


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, "its probe is not ready: nobody says why"),
        ({"phase": "Pending"}, "its probe is not ready: Pending"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, "its probe is not ready: DeadlineExceeded"),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "Error"}}}]},
            "its probe is not ready: Error",
        ),
    ],
)
def test_what_keeps_a_probe_from_being_ready(status: dict[str, Any], why: str) -> None:
    assert read_probes(answer(pod("cp1", 0, status)), MARK, NAMES).trouble(CP1) == why


def test_a_probe_that_was_never_made_is_told() -> None:
    assert read_probes(answer(), MARK, NAMES).trouble(CP1) == "there is no probe there"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (answer(refused="error: pods is forbidden"), "pods is forbidden"),
        (answer().replace("items", "itms"), "makes no sense"),
        (f"\n{MARK} api\nThe connection was refused\n\n{MARK} end\n", "makes no sense"),
        (answer()[:-5], "cut short"),
    ],
    ids=["refused", "garbage", "no API", "cut"],
)
def test_probes_of_which_nothing_is_told_are_none(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        read_probes(text, MARK, NAMES)
