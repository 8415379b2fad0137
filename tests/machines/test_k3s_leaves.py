"""k3s taken off a machine with systemd and iptables: what is there afterwards is what was there before.

What stands there for k3s leaves all that k3s leaves, but is a script: what k3s itself does is for tests/k3s.
"""

from collections.abc import Iterator

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.machine import find_k3s_recipe
from tests.machines.conftest import SKIP
from tests.machines.machine import Machine
from tests.machines.machines import Machines
from tests.machines.suite import provide
from wireloom.apply.removal import HANDS
from wireloom.cluster.places import BINARY, DATA, STATE
from wireloom.values import ETCD_PORTS

FLEET = """\
fleet: shop
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: {} }
nodes: { cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] } }
kubernetes: { version: v1.34.2+k3s1 }
"""

STAND_IN = """\
#!/bin/sh
test "$1" = server || exit 0
mkdir -p /run/k3s/containerd /var/lib/kubelet/pods/a/secret /var/log/pods/a
mount -t tmpfs secret /var/lib/kubelet/pods/a/secret
ip link add cni0 type bridge
ip link add flannel.1 type vxlan id 1 dstport 8472
ip netns add cni-1 && ip link add veth1 type veth peer eth0 netns cni-1 && ip link set veth1 master cni0
for tool in iptables ip6tables; do
    for chain in KUBE-SERVICES KUBE-POSTROUTING CNI-1 FLANNEL-POSTRTG; do $tool -t nat -N $chain; done
    $tool -t nat -I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
    $tool -t nat -A KUBE-SERVICES -j KUBE-POSTROUTING
    $tool -t nat -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
    $tool -N KUBE-FORWARD
    $tool -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
done
systemd-notify --ready
socket=/run/k3s/containerd/containerd.sock
bash -c "exec -a containerd-shim-runc-v2 bash -c 'sleep 3601 & wait' shim -address $socket" &
exec sleep 3600
"""

UNIT = f"""\
[Service]
Type=notify
NotifyAccess=all
KillMode=process
Restart=always
RestartSec=1s
ExecStart={BINARY} server
[Install]
WantedBy=multi-user.target
"""

OTHERS = """\
iptables -A INPUT -p tcp --dport 2222 -m comment --comment "not by -j KUBE-SERVICES" -j ACCEPT
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
nft add table inet wireloom
nft add chain inet wireloom guard '{ type filter hook input priority 0; }'
"""

LOOK = """\
find /etc /usr/local /opt /root /var/lib /var/log/pods -xdev ! -path '/var/lib/systemd/*' 2>/dev/null | sort
find /run | grep -E 'k3s|flannel|cni|netns/'
cut -d' ' -f2 /proc/mounts | grep -E 'kube|k3s|netns/'
iptables-save | grep -E '^(-|:[A-Z]*-)'; ip6tables-save | grep -E '^(-|:[A-Z]*-)'; nft list tables inet
ip -o link show | cut -d: -f2
systemctl list-unit-files 'k3s*' --no-legend; systemctl list-units --all 'k3s*' --no-legend --plain
ps -e -o args= | grep -E 'k3s|shim|sleep 36' | grep -v grep || true
"""


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    image = provide(find_k3s_recipe(), skip=SKIP, beside="k3s")
    with node_machines(("cp1",), image, tmp_path_factory.mktemp("leaves")) as made:
        made.operator.fleet_file.write_text(FLEET)
        made["cp1"].shell(OTHERS)
        yield made


def begin(machine: Machine) -> None:
    machine.write(BINARY, STAND_IN)
    machine.write("/etc/systemd/system/k3s.service", UNIT)
    machine.write(STATE, "fleet=shop\npods=10.42.0.0/16\nservices=10.43.0.0/16\n")
    machine.shell(f"chmod 755 {BINARY}; mkdir -p {DATA}/server /etc/rancher/k3s; echo a >{DATA}/server/token")
    machine.shell("systemctl daemon-reload && systemctl --quiet enable --now k3s")


def uninstall(group: Machines, expect: int = 0) -> str:
    return group.operator.run("k3s", "uninstall", "-y", "--yes-i-mean", "shop", expect=expect).stdout


def test_all_is_as_it_was_before(group: Machines) -> None:
    machine = group["cp1"]
    before = machine.shell(LOOK)
    begin(machine)
    assert "KUBE-SERVICES" in machine.shell("iptables-save")
    assert "sleep 3601" in machine.shell("ps -e -o args=")
    said = uninstall(group)
    assert "cp1: gone: stopped k3s, ended pods: 1, unmounted file systems: 1, removed interfaces: " in said
    assert machine.shell(LOOK).splitlines() == before.splitlines()
    assert uninstall(group) == "cp1: nothing there\n"


def test_who_retires_stays_down_when_it_ends_by_itself(group: Machines) -> None:
    machine = group["cp1"]
    begin(machine)
    script = f"binary={BINARY} data={DATA} state={STATE} etcd_port={ETCD_PORTS[1]}\n{HANDS}\n"
    machine.run("sh", "-s", stdin=f"{script}retire\n")
    machine.shell("kill $(systemctl show --value -p MainPID k3s); sleep 2.5")
    assert machine.shell("systemctl show --value -p ActiveState -p UnitFileState k3s").split() == [
        "inactive",
        "disabled",
    ]
    machine.run("sh", "-s", stdin=f"{script}reinstate\n")
    assert machine.shell("systemctl show --value -p Restart -p UnitFileState k3s").split() == [
        "always",
        "enabled",
    ]
    uninstall(group)


@pytest.mark.parametrize("note", ["", "fleet=other\n"])
def test_what_is_not_ours_runs_on(note: str, group: Machines) -> None:
    machine = group["cp1"]
    begin(machine)
    machine.shell(f"rm {STATE}; printf '{note}' >{STATE}")
    assert "not touched" in uninstall(group, expect=1)
    assert machine.shell("systemctl is-active k3s").strip() == "active"
    machine.write(STATE, "fleet=shop\n")
    uninstall(group)
