"""removal.sh on a machine of its own: what k3s leaves goes, what is others' stays."""

from collections.abc import Iterator

import pytest

from tests.apply.sandbox import Sandbox, sandbox
from wireloom.apply.removal import HANDS
from wireloom.cluster.places import BINARY, DATA, STATE
from wireloom.values import ETCD_PORTS

# What is a disk of the computer's own otherwise: nothing here may reach it.
SHIELD = """\
set -e
mkdir /run/etc /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work overlay /etc
for place in /usr/local/bin /var/log; do mount -t tmpfs -o mode=755 shield $place; done
mkdir -p /run/netns /run/systemd/system /etc/systemd/system /var/lib/wireloom
# A systemd that has no units in memory, and tells what it was asked.
printf '#!/bin/sh\\necho "$*" >>/run/asked\\n' >/usr/local/bin/systemctl
chmod +x /usr/local/bin/systemctl
"""

K3S = f"""\
set -e
printf 'fleet=shop\\npods=10.42.0.0/16\\nservices=10.43.0.0/16\\n' >{STATE}
for one in {BINARY} {BINARY}-killall.sh {DATA}/agent/images/a.tar {DATA}/server/token \\
    /etc/rancher/k3s/config.yaml /etc/rancher/node/password \\
    /etc/systemd/system/k3s.service /etc/systemd/system/k3s.service.d/more.conf \\
    /var/lib/kubelet/config /var/log/pods/a/0.log /run/flannel/subnet.env \\
    /var/lib/cni/networks/cbr0/10.42.0.2 /var/lib/cni/results/cbr0-a /run/k3s/containerd/containerd.sock; do
    mkdir -p "${{one%/*}}" && echo ours >"$one"
done
ln -s k3s /usr/local/bin/kubectl
echo '{{"kind":"cniCacheV1","netns":"/var/run/netns/cni-1"}}' >/var/lib/cni/results/cni-loopback-a-lo
mkdir -p '/var/lib/kubelet/pods/a b/volumes/secret'
mount -t tmpfs secret '/var/lib/kubelet/pods/a b/volumes/secret'
ip link add cni0 type bridge && ip link set cni0 up
ip netns add cni-1 && ip link add veth1 type veth peer eth0 netns cni-1 && ip link set veth1 master cni0
ip link add flannel.1 type vxlan id 1 dstport 8472
"""

THEIRS = (
    "/usr/local/bin/crictl",
    "/etc/rancher/rke2/config.yaml",
    "/var/lib/rancher/rke2/data",
    "/var/lib/cni/networks/podman/1",
    "/var/lib/cni/results/cni-loopback-b-lo",
    "/var/lib/cni/results/podman-b",
    "/etc/wireguard/wg0.conf",
)
OTHERS = """\
set -e
for one in {files}; do
    mkdir -p "${one%/*}" && echo theirs >"$one"
done
ip link add wg0 type veth peer wg0peer
ip address add 10.99.0.1/16 dev wg0
ip link set wg0 up
ip link set wg0peer up
ip route add unreachable 10.42.0.0/16 metric 4000000
ip route add 10.42.7.0/24 via 10.99.0.7 dev wg0
ip route add 192.0.2.0/24 via 10.99.0.9 dev wg0
ip link add cni-podman0 type bridge
ip netns add cni-theirs
echo '{"netns":"/var/run/netns/cni-theirs"}' >/var/lib/cni/results/cni-loopback-b-lo
""".replace("{files}", " ".join(THEIRS))


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    with sandbox() as made:
        made.ask(SHIELD)
        yield made


def script(*calls: str) -> str:
    head = f"binary={BINARY} data={DATA} state={STATE} etcd_port={ETCD_PORTS[1]}\n"
    return "\n".join([head, HANDS, *calls, ""])


ALL = ("ours shop", "end_all", "erase")


SOCKET = "/run/k3s/containerd/containerd.sock"


def start_pod(machine: Sandbox, *, socket: str = SOCKET, within: str = "") -> None:
    """A shim with a child, as far as a list of processes can tell."""
    machine.ask(
        "cp /bin/bash /run/containerd-shim-runc-v2\n"
        f"setsid {within} /run/containerd-shim-runc-v2 -c 'sleep 999 & wait' -namespace k8s.io -address"
        f" {socket} >/dev/null 2>&1 </dev/null &\nsleep 0.5"
    )


def processes(machine: Sandbox) -> list[str]:
    return machine.ask("ps -e -o args=").splitlines()


def test_nothing_is_left(machine: Sandbox) -> None:
    machine.ask(K3S)
    start_pod(machine)
    assert any(line.startswith("/run/containerd-shim") for line in processes(machine))
    told = machine.ask(script(*ALL)).replace(" veth1", "")  # it may have gone with its namespace
    assert told.splitlines() == [
        "k3s=there",
        "did=stopped k3s",
        "did=ended pods: 1",
        "did=unmounted file systems: 1",
        "did=removed interfaces: cni0 flannel.1",
        "did=removed all of k3s",
    ]
    left = "/etc /usr/local/bin /var/lib /var/log /run"
    assert machine.ask(f"find {left} -xdev | grep -E 'k3s|rancher|kube|cni|flannel|pods|netns/' || :") == ""
    assert machine.ask("grep -E 'kube|k3s|cni' /proc/mounts || :") == ""
    assert machine.ask("ip -o link show | grep -vc ' lo:' || :") == "0"
    assert not any("shim" in line or "sleep 999" in line for line in processes(machine))
    assert "stop k3s" in machine.ask("cat /run/asked")


def test_again_there_is_nothing(machine: Sandbox) -> None:
    machine.ask(K3S)
    machine.ask(script(*ALL))
    assert machine.ask(script(*ALL)) == "k3s=nothing"


def test_what_is_others_stays(machine: Sandbox) -> None:
    machine.ask(K3S + OTHERS)
    start_pod(machine, socket="/run/containerd/containerd.sock")
    machine.ask("mv /run/containerd-shim-runc-v2 /run/theirs")  # a file that runs can't be written again
    start_pod(machine, within="ip netns exec cni-theirs")  # of a machine inside of this one
    machine.ask(script(*ALL))
    for place in (*THEIRS, "/run/netns/cni-theirs"):
        machine.ask(f"test -e {place}")
    running = processes(machine)
    assert sum(line.startswith("/run/containerd-shim") for line in running) == 2
    routes = machine.ask("ip route show")
    assert "unreachable 10.42.0.0/16" in routes
    assert "192.0.2.0/24 via 10.99.0.9" in routes
    assert "10.42.7.0/24" not in routes
    assert "cni-podman0" in machine.ask("ip -o link show")


FOREIGN = {
    "another fleet's": (f"echo fleet=other >{STATE}", "its k3s is the fleet `other`'s: not touched"),
    "nobody's": (f"rm {STATE}", f"{BINARY} is there, and no note of wireloom's about it: not touched"),
    "nobody's data": (
        f"rm {STATE} {BINARY}",
        f"{DATA} is there, and no note of wireloom's about it: not touched",
    ),
}


@pytest.mark.parametrize(("change", "words"), FOREIGN.values(), ids=FOREIGN)
def test_a_k3s_that_is_not_ours_is_not_touched(change: str, words: str, machine: Sandbox) -> None:
    machine.ask(f"{K3S}{change}")
    done = machine.sh(script(*ALL))
    assert (done.returncode, done.stderr) == (1, f"wireloom: {words}\n")
    machine.ask(
        f"test -e {DATA}/server/token && test -e /etc/systemd/system/k3s.service && ip link show cni0"
    )


def test_nothing_below_what_is_still_mounted_is_deleted(machine: Sandbox) -> None:
    """A mount that another one covers in its path comes back once that is gone: a volume of somebody's."""
    machine.ask(K3S)
    machine.ask("printf '#!/bin/sh\\nexit 1\\n' >/usr/local/bin/umount; chmod +x /usr/local/bin/umount")
    machine.ask("echo precious >'/var/lib/kubelet/pods/a b/volumes/secret/file'")
    done = machine.sh(script(*ALL))
    assert done.returncode == 1
    assert "/var/lib/kubelet/pods/a b/volumes/secret is still mounted" in done.stderr
    machine.ask("test -e '/var/lib/kubelet/pods/a b/volumes/secret/file'")
    machine.ask(f"rm /usr/local/bin/umount; test -e {STATE}")
    assert "did=removed all of k3s" in machine.ask(script(*ALL))


def test_a_disk_at_the_data_directory_is_emptied_and_stays(machine: Sandbox) -> None:
    machine.ask(f"mkdir -p {DATA}; mount -t tmpfs disk {DATA}\n{K3S}")
    machine.ask(script(*ALL))
    assert machine.ask(f"ls -A {DATA}; grep -c ' {DATA} ' /proc/mounts") == "1"


def test_what_is_kept_only_ends(machine: Sandbox) -> None:
    machine.ask(K3S)
    start_pod(machine)
    machine.ask(script("retire", "ours shop", "end_all"))
    machine.ask("test ! -e /run/systemd/system/k3s.service.d")
    machine.ask(f"test -e {DATA}/server/token && test -e {STATE}")
    assert not any("shim" in line for line in processes(machine))


def test_a_unit_that_retires_does_not_come_back_and_may_be_reinstated(machine: Sandbox) -> None:
    machine.ask(K3S)
    machine.ask(script("retire"))
    drop_in = "/run/systemd/system/k3s.service.d/wireloom-leaves.conf"
    assert machine.ask(f"cat {drop_in}") == "[Service]\nRestart=no"
    assert "disable k3s" in machine.ask("cat /run/asked")
    machine.ask(script("reinstate"))
    machine.ask(f"test ! -e {drop_in}")
    assert "enable k3s" in machine.ask("cat /run/asked")


def test_etcd_that_has_ended_is_waited_for_and_no_longer(machine: Sandbox) -> None:
    listen = (
        "python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", 2380)); time.sleep({})'"
    )
    machine.ask(script("put_out 1"))
    machine.ask(f"setsid {listen.format(2)} >/dev/null 2>&1 </dev/null & sleep 0.7")
    machine.ask(script("put_out 10"))
    machine.ask(f"setsid {listen.format(60)} >/dev/null 2>&1 </dev/null & sleep 0.7")
    done = machine.sh(script("put_out 1"))
    assert (done.returncode, done.stderr) == (
        1,
        "wireloom: etcd still runs here: the others have not taken it out\n",
    )


KUBECTL = f"""\
cat >{BINARY} <<'END'
#!/bin/sh
echo "$*" >>/run/asked
case $* in
*"get node gone"*) ;;
*"get node w1"*) test ! -e /run/deleted && echo node/w1 || : ;;
*"get node"*) echo "The connection to the server was refused"; exit 1 ;;
*"delete node w1"*) touch /run/deleted ;;
*drain*--force*) ;;
*drain*)
    printf 'WARNING: ignoring\\nevicting pod a/b\\nerror: cannot delete Pods that declare no controller\\n'
    exit 1
    ;;
esac
END
chmod +x {BINARY}
"""


def test_a_node_is_drained_and_deleted_once(machine: Sandbox) -> None:
    machine.ask(KUBECTL)
    calls = ("drain w1 60 --force", "forget w1 120")
    assert machine.ask(script(*calls)) == "did=drained\ndid=deleted from the cluster"
    assert machine.ask(script(*calls)) == ""
    asked = machine.ask("cat /run/asked")
    assert "kubectl drain w1 --ignore-daemonsets --delete-emptydir-data --timeout=60s --force" in asked
    assert "kubectl delete node w1 --ignore-not-found --timeout=120s" in asked


SAID = {
    "drain w1 60": "not drained: error: cannot delete Pods that declare no controller ",
    "forget other 60": "the API does not answer: The connection to the server was refused ",
    "drain other 60": "the API does not answer: The connection to the server was refused ",
}


@pytest.mark.parametrize(("call", "words"), SAID.items(), ids=SAID)
def test_what_kubectl_refuses_is_told(call: str, words: str, machine: Sandbox) -> None:
    machine.ask(KUBECTL)
    done = machine.sh(script(call))
    assert (done.returncode, done.stderr) == (1, f"wireloom: {words}\n")


RULES = """\
# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:CNI-1234 - [0:0]
:FLANNEL-POSTRTG - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A POSTROUTING -s 10.42.0.0/24 -m comment --comment "flanneld masq" -j MASQUERADE
-A POSTROUTING -s 192.0.2.0/24 -m comment --comment "not by -j KUBE-SERVICES" -j MASQUERADE
-A DOCKER -j RETURN
-A KUBE-SERVICES -j KUBE-POSTROUTING
-A CNI-1234 -j ACCEPT
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
COMMIT
*mangle
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
"""
ORDERS = """\
*nat
-F KUBE-SERVICES
-F KUBE-POSTROUTING
-F CNI-1234
-F FLANNEL-POSTRTG
-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-D POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-D POSTROUTING -s 10.42.0.0/24 -m comment --comment "flanneld masq" -j MASQUERADE
-X KUBE-SERVICES
-X KUBE-POSTROUTING
-X CNI-1234
-X FLANNEL-POSTRTG
COMMIT
*mangle
-F KUBE-KUBELET-CANARY
-X KUBE-KUBELET-CANARY
COMMIT
"""


@pytest.mark.parametrize(
    ("rules", "orders"),
    [(RULES, ORDERS), ("", ""), ("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", "")],
    ids=["Kubernetes'", "no rules", "only others'"],
)
def test_only_the_rules_of_kubernetes_go(rules: str, orders: str, machine: Sandbox) -> None:
    done = machine.sh(script(f"undo_rules <<'END'\n{rules}END"))
    assert (done.returncode, done.stdout) == (0, orders)
