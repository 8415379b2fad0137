# shellcheck shell=sh
# Take a node out of the cluster, and k3s off a machine: POSIX sh, sent with every step, running as root.
#
# Every step may be taken again. What is told to the operator goes to stderr and begins with "wireloom: ", what a
# step answers goes to stdout as name=value lines: `did` tells what was found and taken away. What k3s leaves on a
# machine and how it goes is in its own scripts, k3s-killall.sh and k3s-uninstall.sh (k3s, install.sh); unlike them,
# this restores no table of rules that others have rules in, and deletes nothing below what is still mounted.

# shellcheck disable=SC2154  # binary, data, state and etcd_port are the caller's
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# What k3s brings along for itself, where the machine has none.
for tools in "$data"/data/current/bin "$data"/data/current/bin/aux; do
    test ! -d "$tools" || PATH=$PATH:$tools
done

die() {
    printf 'wireloom: %s\n' "$*" >&2
    exit 1
}

did() {
    printf 'did=%s\n' "$*"
}

# As a server, about a node of the cluster

kubectl() {
    KUBECACHEDIR=/dev/null "$binary" kubectl "$@" --request-timeout=30s
}

# last: the last lines of what kubectl said, on one.
last() {
    grep -v -e '^$' -e '^WARNING' -e '^evicting pod' -e '^There are pending' -e '^ [^ ]*$' | tail -n 3 | tr '\n' ' ' | cut -c 1-400
}

# is_member NAME: the cluster knows it; ends the script where nobody can tell.
is_member() {
    found=$(kubectl get node "$1" --ignore-not-found -o name 2>&1) || die "the API does not answer: $(printf '%s\n' "$found" | last)"
    test -n "$found"
}

# drain NAME SECONDS [--force]: it gets no new pods, and those that it has go elsewhere.
drain() {
    is_member "$1" || return 0
    name=$1 seconds=$2
    shift 2
    said=$(KUBECACHEDIR=/dev/null "$binary" kubectl drain "$name" --ignore-daemonsets --delete-emptydir-data \
        "--timeout=${seconds}s" "$@" 2>&1) || die "not drained: $(printf '%s\n' "$said" | last)"
    did "drained"
}

# forget NAME SECONDS: k3s lets a node go only once it has taken its member out of etcd (k3s,
# pkg/etcd/member_controller.go: a finalizer), and kubectl waits for it.
forget() {
    is_member "$1" || return 0
    said=$(KUBECACHEDIR=/dev/null "$binary" kubectl delete node "$1" --ignore-not-found "--timeout=$2s" 2>&1) ||
        die "not deleted: $(printf '%s\n' "$said" | last)"
    ! is_member "$1" || die "it came back at once: does k3s start on it again and again?"
    did "deleted from the cluster"
}

# On the machine itself

# ours FLEET: k3s is there, and it is this fleet's. Answers `there` or `nothing`; ends the script where it is not ours.
ours() {
    fleet=$(sed -n 's/^fleet=//p' "$state" 2>/dev/null)
    if test "$fleet" = "$1"; then
        echo k3s=there
        return
    fi
    test -z "$fleet" || die "its k3s is the fleet \`$fleet\`'s: not touched"
    for trace in "$binary" "$data" /etc/systemd/system/k3s.service /etc/systemd/system/k3s-agent.service; do
        test ! -e "$trace" || die "$trace is there, and no note of wireloom's about it: not touched"
    done
    echo k3s=nothing
    exit 0
}

units='k3s k3s-agent'

# retire: whatever k3s does next, it is not started again. One that etcd has put out would come back as a new member
# at its next start (k3s, pkg/etcd/etcd.go: the tombstone).
retire() {
    for unit in $units; do
        test -e "/etc/systemd/system/$unit.service" || continue
        at=/run/systemd/system/$unit.service.d
        { mkdir -p "$at" && printf '[Service]\nRestart=no\n' >"$at/wireloom-leaves.conf"; } || die "$at can't be written"
        systemctl --quiet --no-reload disable "$unit" 2>/dev/null
    done
    systemctl daemon-reload || die "systemd does not read its units again"
}

# reinstate: as it was before retire.
reinstate() {
    for unit in $units; do
        test -e "/run/systemd/system/$unit.service.d/wireloom-leaves.conf" || continue
        lift "$unit"
        systemctl --quiet --no-reload enable "$unit" 2>/dev/null
    done
    systemctl daemon-reload
}

# lift UNIT: what retire has put beside it.
lift() {
    rm -f "/run/systemd/system/$1.service.d/wireloom-leaves.conf"
    rmdir "/run/systemd/system/$1.service.d" 2>/dev/null
}

# put_out SECONDS: etcd has ended here, as it does once the others have taken it out; k3s leaves a tombstone then
# (k3s, pkg/executor/embed/etcd/etcd.go).
put_out() {
    left=$1
    while listens "$etcd_port" && test ! -e "$data/server/db/etcd/tombstone"; do
        test "$left" -gt 0 || die "etcd still runs here: the others have not taken it out"
        sleep 1
        left=$((left - 1))
    done
}

# listens PORT: somebody does, on TCP.
listens() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qi ":$(printf %04X "$1") [0-9a-f]*:0000 0A"
}

# end_all: nothing of k3s runs any more: units, pods, what is mounted for them, their network.
end_all() {
    stop_units
    end_pods
    unmount_all
    remove_network
    remove_rules
}

stop_units() {
    for unit in $units; do
        test -e "/etc/systemd/system/$unit.service" || continue
        ! systemctl --quiet is-active "$unit" || did "stopped $unit"
        systemctl stop "$unit" 2>/dev/null || die "the unit $unit can't be stopped"
        systemctl --quiet --no-reload disable "$unit" 2>/dev/null
        systemctl reset-failed "$unit" 2>/dev/null
        lift "$unit"
    done
    :
}

# end_pods: they outlive k3s, below the shims of its containerd. A shim is known by its socket, and as this machine's
# by its network: a container's, of a machine inside of this one, has another.
end_pods() {
    network=$(readlink /proc/self/ns/net)
    shims=
    for process in /proc/[0-9]*; do
        command=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
        case $command in
        *containerd-shim*" -address /run/k3s/containerd/"*)
            test "$(readlink "$process/ns/net")" != "$network" || shims="$shims ${process#/proc/}"
            ;;
        esac
    done
    test -n "$shims" || return 0
    # shellcheck disable=SC2086
    family=$(descend $shims)
    # shellcheck disable=SC2086
    kill -KILL $family 2>/dev/null
    for process in $family; do
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            # One that has ended and that nobody has heard of it yet holds nothing any more.
            grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$process/status" 2>/dev/null || break
            sleep 0.2
        done
    done
    # shellcheck disable=SC2086
    set -- $shims
    did "ended pods: $#"
}

# descend PID...: they and their children, and theirs.
descend() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v "roots=$*" '
        { rest = $0; sub(/.*\) /, "", rest); split(rest, field, " "); children[field[2]] = children[field[2]] " " $1 }
        END {
            count = split(roots, queue, " ")
            for (place = 1; place <= count; place++) {
                print queue[place]
                more = split(children[queue[place]], child, " ")
                for (one = 1; one <= more; one++) queue[++count] = child[one]
            }
        }
    '
}

# mounts: what is mounted for k3s and its pods, the innermost first. In /proc/self/mounts a blank is \040.
mounts() {
    while read -r _ at _; do
        case $at in
        /run/k3s | /run/k3s/* | /var/lib/kubelet | /var/lib/kubelet/* | "$data"/*) printf '%b\n' "$at" ;;
        esac
    done </proc/self/mounts | sort -r
}

unmount_all() {
    found=$(mounts)
    test -n "$found" || return 0
    printf '%s\n' "$found" | while IFS= read -r at; do umount "$at" 2>/dev/null || umount -l "$at" 2>/dev/null; done
    still=$(mounts)
    test -z "$still" || die "$(printf '%s\n' "$still" | head -n 1) is still mounted: whose is it? Nothing below it is deleted"
    did "unmounted file systems: $(printf '%s\n' "$found" | wc -l)"
}

# remove_network: interfaces, the namespaces of pods that are gone, and routes to the pods of others. The unreachable
# routes stay: they are the underlay's.
remove_network() {
    for at in /run/netns/cni-*; do
        test -e "$at" || continue
        test -n "$(ip netns pids "${at##*/}" 2>/dev/null)" || ip netns delete "${at##*/}" 2>/dev/null
    done
    gone=
    for link in $(ip -o link show master cni0 2>/dev/null | sed -n 's/^[0-9]*: \([^:@]*\).*/\1/p') \
        cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
        ip link delete "$link" 2>/dev/null && gone="$gone $link"
    done
    for range in $(sed -n 's/^pods=//p' "$state" 2>/dev/null | tr , ' '); do
        case $range in *:*) family=-6 ;; *) family=-4 ;; esac
        ip "$family" route show root "$range" 2>/dev/null | grep ' via ' | while read -r to _ by _; do
            ip "$family" route delete "$to" via "$by" 2>/dev/null
        done
    done
    test -z "$gone" || did "removed interfaces:$gone"
}

# remove_rules: those of Kubernetes, of its network plugins and of flannel, and their chains; by name, so that those of
# others stay as they are, their counters too.
remove_rules() {
    for tool in iptables ip6tables iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
        command -v "$tool-save" >/dev/null || continue
        orders=$("$tool-save" 2>/dev/null | undo_rules)
        test -n "$orders" || continue
        said=$(printf '%s\n' "$orders" | "$tool-restore" --noflush 2>&1) ||
            die "$tool-restore does not remove the rules of Kubernetes: $(printf '%s\n' "$said" | tail -n 1)"
        did "removed rules of $tool"
    done
    ! command -v ipset >/dev/null || ipset list -n 2>/dev/null | grep -E '^(inet6:)?KUBE-' | while read -r one; do
        ipset destroy "$one" 2>/dev/null
    done
    ! command -v nft >/dev/null || for table in 'ip kube-proxy' 'ip6 kube-proxy' 'ip flannel-ipv4' 'ip6 flannel-ipv6'; do
        # shellcheck disable=SC2086
        nft delete table $table 2>/dev/null
    done
    :
}

# undo_rules: iptables-save → what iptables-restore --noflush takes them away by: rules in the chains of others that
# lead to ours, then ours.
undo_rules() {
    awk '
        function ours(chain) { return chain ~ /^(KUBE-|CNI-|FLANNEL-)/ }
        function flush_table(    place) {
            if (orders == "" && chains == 0) return
            printf "%s\n", table
            for (place = 1; place <= chains; place++) print "-F", chain[place]
            printf "%s", orders
            for (place = 1; place <= chains; place++) print "-X", chain[place]
            print "COMMIT"
        }
        /^\*/ { table = $0; orders = ""; chains = 0; next }
        /^:/ { name = substr($1, 2); if (ours(name)) chain[++chains] = name; next }
        /^-A / && !ours($2) {
            target = ""
            for (place = 3; place < NF; place++) if ($place == "-j" || $place == "-g") target = $(place + 1)
            if (ours(target) || $0 ~ /--comment "flanneld /) { sub(/^-A/, "-D"); orders = orders $0 "\n" }
        }
        /^COMMIT/ { flush_table() }
    '
}

# erase: what k3s has left in files. The note goes last: as long as it is there, this can be gone on with.
erase() {
    for at in /var/log/pods /var/log/containers /run/k3s /run/flannel /var/lib/kubelet "$data" /etc/rancher/k3s \
        /etc/rancher/node /var/lib/cni/networks/cbr0; do
        take "$at"
    done
    forget_results
    for at in "$binary-killall.sh" "$binary-uninstall.sh" "$binary-agent-uninstall.sh"; do
        take "$at"
    done
    for unit in $units; do
        take "/etc/systemd/system/$unit.service"
        take "/etc/systemd/system/$unit.service.env"
        take "/etc/systemd/system/$unit.service.d"
        take "/run/systemd/system/$unit.service.d"
    done
    for tool in kubectl crictl ctr; do
        case $(readlink "${binary%/*}/$tool") in k3s | "$binary") take "${binary%/*}/$tool" ;; esac
    done
    take "$binary"
    rm -f /run/wireloom/k3s.*
    rmdir /var/lib/cni/results /var/lib/cni/networks /var/lib/cni /etc/rancher /var/lib/rancher 2>/dev/null
    systemctl daemon-reload 2>/dev/null
    rm -f "$state" || die "$state can't be removed"
    rmdir "${state%/*}" 2>/dev/null
    did "removed all of k3s"
}

# forget_results: what CNI remembers of pods whose network has gone with them; those of others have theirs.
forget_results() {
    for at in /var/lib/cni/results/*; do
        test -f "$at" || continue
        at_network=$(sed -n 's/.*"netns": *"\([^"]*\)".*/\1/p' "$at")
        case $at in */cbr0-*) at_network=/nowhere ;; esac
        test -z "$at_network" || test -e "$at_network" || take "$at"
    done
}

# take PATH: away with it, as far as its own file system goes. A disk that is mounted there stays so, empty.
take() {
    if mountpoint -q "$1" 2>/dev/null; then
        find "$1" -xdev -mindepth 1 -delete || die "$1 can't be emptied"
    elif test -e "$1" || test -L "$1"; then
        rm -rf --one-file-system "$1" || die "$1 can't be removed"
    fi
}
