"""The probes of k3s run for real: every shell gives the same answer, and no secret is in it."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.apply.sandbox import Sandbox, sandbox
from wireloom.cluster.look import read_cluster
from wireloom.cluster.places import AGENT_TOKEN, DATASTORE_ENDPOINT, SERVER_TOKEN, SETTINGS, STATE, Role
from wireloom.cluster.probe import PROBES, probe_script
from wireloom.cluster.seen import ClusterSeen, FileSeen, K3sSeen, K3sStamp, Leftover, Rival
from wireloom.observe.parse import parse_state
from wireloom.observe.probes import probe_script as network_probes
from wireloom.observe.probes import split_sections
from wireloom.observe.state import OtherFleet
from wireloom.transport.port import Completed
from wireloom.values import NodeName

A = NodeName("a")
SECRET = "K10feed::server:hunter2"
ENDPOINT = "postgres://k3s:hunter2@192.0.2.7/k3s"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

SHELLS = {
    name: command
    for name, command in {
        "dash": ("dash", "-s"),
        "bash": ("bash", "--posix", "-s"),
        "busybox": ("busybox", "sh", "-s"),
    }.items()
    if shutil.which(command[0])
}
lab = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]
all_shells = pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)

# A machine of nobody's: what it has of /etc, and of programs that are not the distribution's, is a test's.
BLANK = """\
cp -a /etc/alternatives /run
mount -t tmpfs etc /etc
mv /run/alternatives /etc
mount -t tmpfs bin /usr/local/bin
mount -t tmpfs sbin /usr/local/sbin
mkdir -p /etc/systemd/system /etc/rancher/k3s /var/lib/wireloom
"""

NODE = "node a  InternalIP=10.99.0.1 10.42.0.0/24 v1.34.2+k3s1 true True vxlan null True KubeletReady "
NODE = NODE.replace(" ", "\t")
SETTINGS_TEXT = """\
# Written by wireloom for a, a node of the fleet shop: change fleet.yaml, not this file.
token-file: /etc/rancher/k3s/server-token
cluster-cidr: 10.42.0.0/16
"""

SERVER = f"""{BLANK}
umask 077
mkdir -p /run/systemd/system /etc/systemd/system/multi-user.target.wants /var/lib/rancher/k3s/server/tls
cat >/usr/local/bin/k3s <<'X'
#!/bin/sh
case $1 in
--version) printf 'k3s version v1.34.2+k3s1 (feedbeef)\\ngo version go1.24.9\\n' ;;
kubectl) cat /run/told ;;
esac
X
cat >/usr/local/sbin/systemctl <<'X'
#!/bin/sh
shift
for unit; do echo active; done
X
chmod 755 /usr/local/bin/k3s /usr/local/sbin/systemctl
cat >/run/told <<'X'
{NODE}
X
cat >{SETTINGS} <<'X'
{SETTINGS_TEXT}X
cd /etc/systemd/system
printf '# Written by wireloom\\nExecStart=/usr/local/bin/k3s server\\n' >k3s.service
ln -s ../k3s.service multi-user.target.wants/k3s.service
echo '{SECRET}' >{SERVER_TOKEN}
echo '{SECRET}' >{AGENT_TOKEN}
chmod 640 {AGENT_TOKEN}
echo 'K3S_DATASTORE_ENDPOINT={ENDPOINT}' >{DATASTORE_ENDPOINT}
printf '%s' '{CERTIFICATE}' >/var/lib/rancher/k3s/server/tls/server-ca.crt
printf 'fleet=shop\\npods=10.42.0.0/16\\nservices=10.43.0.0/16\\n' >/var/lib/wireloom/k3s.note
"""


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def answer(machine: Sandbox, shell: tuple[str, ...] = ("dash", "-s")) -> str:
    done = machine.sh(probe_script("NONCE"), shell=shell)
    assert done.returncode == 0, done.stderr
    return done.stdout


def look(machine: Sandbox, shell: tuple[str, ...] = ("dash", "-s")) -> ClusterSeen:
    return read_cluster({A: Completed(0, answer(machine, shell), "")}, "NONCE")


def look_at(machine: Sandbox, shell: tuple[str, ...] = ("dash", "-s")) -> K3sSeen:
    seen = look(machine, shell).machine(A)
    assert seen is not None
    assert seen.garbled == ()
    return seen


class TestOnAMachine:
    pytestmark = lab

    @all_shells
    def test_a_blank_machine(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(BLANK)
        seen = look_at(machine, shell)
        assert (seen.version, seen.role, seen.active, seen.ran, seen.data) == (
            None,
            None,
            "inactive",
            None,
            False,
        )
        assert (seen.files, seen.tokens, seen.leftovers, seen.holders, seen.stamp) == (
            {},
            frozenset(),
            (),
            {},
            None,
        )
        assert seen.memory > 0
        assert "memory" in seen.controllers
        assert seen.kernel is not None
        assert not seen.systemd

    @all_shells
    def test_a_server(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(SERVER)
        seen = look_at(machine, shell)
        assert (seen.version, seen.role, seen.enabled, seen.active) == (
            "v1.34.2+k3s1",
            Role.SERVER,
            True,
            "active",
        )
        assert (seen.ran, seen.data) == (Role.SERVER, True)
        assert seen.files[SETTINGS] == FileSeen(SETTINGS_TEXT, 0o600)
        assert seen.files[Role.SERVER.unit_path].text.endswith("ExecStart=/usr/local/bin/k3s server\n")
        assert seen.stamp == K3sStamp("shop", seen.stamp.pods, seen.stamp.services) if seen.stamp else False
        assert seen.cluster == machine.ask(f"printf '%s' '{CERTIFICATE}' | sha256sum").split()[0]

    @all_shells
    def test_no_secret_is_in_the_answer(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(SERVER)
        seen = look_at(machine, shell)
        assert seen.tokens == {SERVER_TOKEN, AGENT_TOKEN, DATASTORE_ENDPOINT}
        assert seen.open_tokens == {AGENT_TOKEN}
        assert "hunter2" not in answer(machine, shell)

    @all_shells
    def test_of_a_token_only_the_digest_of_its_clusters_certificate(
        self, shell: tuple[str, ...], machine: Sandbox
    ) -> None:
        machine.ask(
            f"{BLANK}printf 'K10{64 * 'f'}::server:hunter2' >{SERVER_TOKEN}; echo hunter2 >{AGENT_TOKEN}"
        )
        assert look_at(machine, shell).token_cas == {64 * "f"}
        assert "hunter2" not in answer(machine, shell)

    @all_shells
    def test_a_secret_that_somebody_wrote_into_our_files_makes_them_differ(
        self, shell: tuple[str, ...], machine: Sandbox
    ) -> None:
        machine.ask(SERVER)
        machine.ask(
            f"""cat >>{SETTINGS} <<'X'
token: {SECRET}
agent-token:
  - {SECRET}
datastore-endpoint: "{ENDPOINT}"
etcd-s3-secret-key: hunter2
X
cat >>/etc/systemd/system/k3s.service <<'X'
Environment=K3S_TOKEN=hunter2
ExecStart=/usr/local/bin/k3s server --token-file=/etc/token --token hunter2
X
echo '{{"Network": "10.42.0.0/16", "Backend": {{"PSK": "hunter2"}}}}' >/etc/rancher/k3s/flannel.json
"""
        )
        seen = look_at(machine, shell)
        assert seen.files[SETTINGS].text == (
            SETTINGS_TEXT
            + "token: (hidden)\nagent-token: (hidden)\n(hidden)\ndatastore-endpoint: (hidden)\n"
            + "etcd-s3-secret-key: (hidden)\n"
        )
        assert "hunter2" not in answer(machine, shell)

    def test_no_line_of_somebody_elses_file_is_told(self, machine: Sandbox) -> None:
        machine.ask(SERVER)
        machine.ask(f"printf 'node-label:\\n  - mine=hunter2\\n' >{SETTINGS}; chmod 644 {SETTINGS}")
        assert look_at(machine).files[SETTINGS] == FileSeen("", 0o644)
        assert "hunter2" not in answer(machine)

    @all_shells
    def test_what_a_server_tells_of_the_cluster(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        machine.ask(SERVER)
        seen = look(machine, shell)
        assert seen.told_by == A
        member = seen.member(A)
        assert member is not None
        assert (member.ready, member.server, member.etcd_voter) == (True, True, True)

    def test_a_server_that_can_not_tell_says_why(self, machine: Sandbox) -> None:
        machine.ask(SERVER + "rm /run/told\n")
        seen = look(machine)
        assert (seen.members, seen.told_by) == (None, None)
        assert seen.trouble == "a: cat: /run/told: No such file or directory"

    def test_an_agent_is_not_asked(self, machine: Sandbox) -> None:
        machine.ask(SERVER + "mv k3s.service k3s-agent.service\n")
        seen = look(machine)
        assert (seen.members, seen.trouble) == (None, "")
        assert look_at(machine).role is Role.AGENT

    def test_what_another_kubernetes_left(self, machine: Sandbox) -> None:
        machine.ask(
            f"{BLANK}cd /etc; mkdir kubernetes rancher/rke2; touch kubernetes/admin.conf /run/docker.pid"
        )
        assert look_at(machine).leftovers == (
            Leftover(Rival.KUBEADM, "/etc/kubernetes/admin.conf"),
            Leftover(Rival.RKE2, "/etc/rancher/rke2"),
            Leftover(Rival.DOCKER, "/run/docker.pid"),
        )

    def test_the_interface_of_a_pod_network_is_somebodys_where_k3s_has_not_run(
        self, machine: Sandbox
    ) -> None:
        machine.ask(f"{BLANK}ip link add cni0 type bridge")
        assert look_at(machine).leftovers == (Leftover(Rival.NETWORK, "cni0"),)
        machine.ask("mkdir -p /var/lib/rancher/k3s/agent/containerd")
        assert look_at(machine).leftovers == ()

    @all_shells
    def test_who_has_the_ports(self, shell: tuple[str, ...], machine: Sandbox) -> None:
        squatter = (
            "use IO::Socket::INET; IO::Socket::INET->new(Listen => 1, LocalPort => $_) and sleep for 6443"
        )
        machine.ask(
            f"{BLANK}setsid perl -e '{squatter}' >/dev/null 2>&1 &"
            " until grep -q :192B /proc/net/tcp; do sleep 0.02; done"
        )
        holders = look_at(machine, shell).holders
        assert list(holders) == [6443]
        assert holders[6443].startswith("perl (process ")

    def test_what_k3s_has_nobody_else_has(self, machine: Sandbox) -> None:
        squatter = "use IO::Socket::INET; IO::Socket::INET->new(Listen => 1, LocalPort => 10250) and sleep"
        machine.ask(
            f"{SERVER}setsid perl -e '{squatter}' >/dev/null 2>&1 &"
            " until grep -q :280A /proc/net/tcp; do sleep 0.02; done"
        )
        seen = look_at(machine)
        assert (seen.holders, seen.kernel) == ({}, None)

    def test_the_note_about_k3s_is_not_that_of_another_interface(self, machine: Sandbox) -> None:
        machine.ask(f"mkdir -p /var/lib/wireloom; echo fleet=shop | tee {STATE} >/var/lib/wireloom/wg1.state")
        done = machine.sh(network_probes("wg0", "NONCE"))
        assert parse_state(A, split_sections(done.stdout, "NONCE")).others == {
            "wg1": OtherFleet("shop", guarded=False)
        }

    def test_images_alone_are_no_life_of_k3s(self, machine: Sandbox) -> None:
        machine.ask(f"{BLANK}mkdir -p /var/lib/rancher/k3s/agent/images")
        assert look_at(machine).ran is None

    def test_a_binary_that_does_not_run_says_nothing(self, machine: Sandbox) -> None:
        machine.ask(f"{BLANK}printf '\\177ELF' >/usr/local/bin/k3s; chmod 755 /usr/local/bin/k3s")
        assert look_at(machine).version == ""

    def test_a_firewall_that_is_on(self, machine: Sandbox) -> None:
        machine.ask(f"{BLANK}mkdir /etc/ufw; echo ENABLED=yes >/etc/ufw/ufw.conf")
        assert look_at(machine).disturbers == {"ufw"}

    def test_looking_changes_nothing(self, machine: Sandbox) -> None:
        machine.ask(SERVER)
        machine.ask("sleep 0.02; : >/run/census; sleep 0.02")
        answer(machine)
        assert machine.ask("find /etc /var/lib /run -newer /run/census -type f") == ""


def test_every_probe_has_its_own_name() -> None:
    assert len({probe.name for probe in PROBES}) == len(PROBES)
