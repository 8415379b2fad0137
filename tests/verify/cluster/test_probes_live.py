"""The scripts for a server, with a k3s that only notes what it is asked."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.apply.sandbox import Sandbox, sandbox
from tests.verify.cluster.cluster import CP1, NAMES, W1
from wireloom.verify.cluster.probes import (
    Ground,
    raising_script,
    read_probes,
    read_survey,
    removing_script,
    survey_script,
)
from wireloom.verify.cluster.trials import choose_requests, read_tried, trying_script

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")]

RUN, MARK = "wireloom-verify-0a1b2c3d", "wireloom-5eed"
GROUND = Ground("busybox:1", 1700000000)
K3S = """\
mount -t tmpfs bin /usr/local/bin
cat >/usr/local/bin/k3s <<'K3S'
#!/bin/sh
now=$(date +%s)
echo "$KUBECONFIG $*" >>/run/asked
case "$*" in
    *"get namespaces"*)
        printf 'old %s\\nnew %s\\nodd\\nworse 12x\\n' $((now - 7200)) $((now - 60)) ;;
    *"get configmap"*) test -e /run/lean || echo '    image: "rancher/mirrored-library-busybox:1.36.1"' ;;
    *"get nodes"*) printf 'docker.io/rancher/mirrored-pause:3.6\\ndocker.io/library/busybox:1.37.0\\n' ;;
    *"create -f -"*)
        cat >/run/made
        ! test -e /run/refused || { echo 'error: pods is forbidden' >&2; exit 1; } ;;
    *"get service kubernetes"*) echo '{"spec": {"clusterIP": "10.43.0.1"}}' ;;
    *"get pods,services"*) echo '{"items": []}' ;;
    *logs*) printf 'noise\\nprobe wireloom-verify-0a1b2c3d/w1/\\n' ;;
    *exec*) echo 'error: unable to upgrade connection' >&2; exit 1 ;;
esac
K3S
chmod 755 /usr/local/bin/k3s
"""


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with sandbox() as made:
        made.ask(K3S)
        yield made


def asked(server: Sandbox) -> list[str]:
    return server.ask("cat /run/asked").splitlines()


def test_the_image_is_found_and_what_is_old_is_taken_away(server: Sandbox) -> None:
    ground = read_survey(server.sh(survey_script(RUN, MARK)).stdout, MARK, None)
    assert ground.image == "rancher/mirrored-library-busybox:1.36.1"
    kubeconfig = "/etc/rancher/k3s/k3s.yaml"
    deleted = [one for one in asked(server) if "delete" in one]
    assert deleted == [f"{kubeconfig} kubectl delete namespace old --wait=false"]


def test_without_helper_pods_it_is_one_that_is_there(server: Sandbox) -> None:
    server.ask("touch /run/lean")
    ground = read_survey(server.sh(survey_script(RUN, MARK)).stdout, MARK, None)
    assert ground.image == "docker.io/library/busybox:1.37.0"


def test_what_is_described_is_made_and_told(server: Sandbox) -> None:
    told = server.sh(raising_script(RUN, MARK, NAMES, GROUND)).stdout
    assert str(read_probes(told, MARK, NAMES).api[0]) == "10.43.0.1"
    made = json.loads(server.ask("cat /run/made"))
    assert [one["kind"] for one in made["items"]][:2] == ["Namespace", "ServiceAccount"]
    assert any(f"-n {RUN} wait pods --all" in one for one in asked(server))


def test_a_refusal_is_told(server: Sandbox) -> None:
    server.ask("touch /run/refused")
    with pytest.raises(ValueError, match="pods is forbidden"):
        read_probes(server.sh(raising_script(RUN, MARK, NAMES, GROUND)).stdout, MARK, NAMES)


def test_without_k3s_there_is_no_ground(server: Sandbox) -> None:
    server.ask("rm /usr/local/bin/k3s")
    with pytest.raises(ValueError, match="--probe-image"):
        read_survey(server.sh(survey_script(RUN, MARK)).stdout, MARK, None)
    with pytest.raises(ValueError, match=r"not found|No such file"):
        read_probes(server.sh(raising_script(RUN, MARK, NAMES, GROUND)).stdout, MARK, NAMES)


def test_they_are_taken_away(server: Sandbox) -> None:
    assert server.sh(removing_script(RUN)).returncode == 0
    assert f"delete namespace {RUN} --ignore-not-found" in asked(server)[-1]


def test_logs_and_exec_are_told_by_their_last_line(server: Sandbox) -> None:
    trials = dict(enumerate(choose_requests(CP1, [W1], RUN)))
    tried = read_tried(server.sh(trying_script(RUN, CP1, NAMES, trials)).stdout)
    assert tried.said == {
        0: "0 ",
        1: f"0 probe {RUN}/w1/",
        2: "1 error: unable to upgrade connection",
    }
