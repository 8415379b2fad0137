# shellcheck shell=sh
# What the probes of k3s are made of. Where it does not run nearly all of it is done by the shell itself.

# shellcheck disable=SC2154  # binary, data, files, secrets, units, mark, nonce and columns are the caller's

# show_units: `UNIT STATE enabled|disabled` of each unit that is there. $busy: k3s runs, or is about to; $serving: as a
# server that has said that it is ready.
show_units() {
    busy='' serving=''
    set --
    for unit in $units; do
        for at in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
            test ! -e "$at/$unit" || { set -- "$@" "$unit" && break; }
        done
    done
    test $# -gt 0 || return 0
    states=''
    test ! -d /run/systemd/system || states=$(systemctl is-active "$@")
    # shellcheck disable=SC2086
    for state in ${states:-inactive inactive inactive inactive}; do
        test $# -gt 0 || break
        enabled=disabled
        for link in /etc/systemd/system/*.wants/"$1"; do test ! -L "$link" || enabled=enabled; done
        echo "$1 $state $enabled"
        case $1:$state in
            k3s.service:active) busy=yes serving=yes ;;
            k3s*:active | k3s*:activating | k3s*:reloading) busy=yes ;;
        esac
        shift
    done
}

# show_modes: mode in octal, size and path of each file that is there.
show_modes() {
    set --
    for file in $files $secrets; do test ! -e "$file" || set -- "$@" "$file"; done
    test $# -eq 0 || stat -Lc '%a %s %n' "$@"
}

# show_token_cas: a token may begin with the digest of its cluster's certificate, K10…::, which is no secret. Nothing else
# of it is told.
show_token_cas() {
    for file in $secrets; do
        test -r "$file" || continue
        IFS= read -r token <"$file" || :
        case $token in
            K10*::*)
                token=${token%%::*}
                test ${#token} -ne 67 || echo "${token#K10}"
                ;;
        esac
        token=''
    done
}

# show_files: a section `file PATH` for each that is there. Of one that should begin with wireloom's mark and does not
# no line is told; of the others not what follows on the name of a secret.
show_files() {
    set --
    for file in $files; do test ! -f "$file" || set -- "$@" "$file"; done
    test $# -eq 0 || awk -v "nonce=$nonce" -v "mark=$mark" '
        function hide(line,    from, rest, low) {
            if (hiding && line ~ /^[ \t-]/) return "(hidden)"
            hiding = 0
            for (from = 1; from <= length(line); from += RSTART + RLENGTH - 1) {
                rest = substr(line, from); low = tolower(rest)
                if (!match(low, /(token|secret|password|psk|presharedkey|access[-_]key|datastore[-_]endpoint)[a-z_-]*["\047]?([ \t]*[:=]|[ \t])/)) break
                key = substr(low, RSTART, RLENGTH)
                if (key ~ /file["\047]?[ \t:=]+$/) continue
                if (key !~ /[:=]$/ && substr(low, 1, RSTART - 1) !~ /--[a-z-]*$/) continue
                hiding = 1
                return substr(line, 1, from + RSTART + RLENGTH - 2) " (hidden)"
            }
            return line
        }
        BEGIN {
            for (place = 1; place < ARGC; place++) {
                path = ARGV[place]; first = 1; hiding = 0
                printf "\n%s file %s\n", nonce, path
                while ((getline line <path) > 0) {
                    if (first) ours = index(line, mark) == 1 || path !~ /\.(yaml|service)$/
                    first = 0
                    if (ours) print hide(line)
                }
            }
        }
    ' "$@"
}

# show_ran: as what k3s has run here. $ca: the certificate of its cluster's authority.
show_ran() {
    ca='' ran=''
    for place in server/tls agent; do
        test ! -s "$data/$place/server-ca.crt" || { ca=$data/$place/server-ca.crt && break; }
    done
    if test -d "$data/server/db" || test -d "$data/server/tls"; then
        ran=server
    elif test -n "$ca" || test -d "$data/agent/containerd"; then
        ran=agent
    fi
    echo "$ran"
}

# show_leftovers: `RIVAL PLACE` for one trace of each.
show_leftovers() {
    trace kubeadm /etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf \
        /etc/kubernetes/manifests/*.yaml /var/lib/kubelet/config.yaml /var/lib/etcd/member
    trace rke2 /etc/rancher/rke2 /var/lib/rancher/rke2
    trace microk8s /var/snap/microk8s /snap/microk8s
    trace k0s /etc/k0s /var/lib/k0s /etc/systemd/system/k0s*.service
    trace docker /run/docker.pid
    # The kernel's own list of interfaces is that of whoever looks, which /sys/class/net need not be.
    test -n "$ran" || trace network /proc/sys/net/ipv4/conf/cni0 /proc/sys/net/ipv4/conf/flannel.1 \
        /proc/sys/net/ipv4/conf/flannel-wg /proc/sys/net/ipv4/conf/vxlan.calico /proc/sys/net/ipv4/conf/cilium_host
}

trace() {
    rival=$1
    shift
    for place in "$@"; do
        test ! -e "$place" || { echo "$rival $place" && return; }
    done
}

# show_resources: `memory KIB`, `swap KIB`; `cgroup VERSION CONTROLLERS` with spaces or commas between them. Of the first
# version k3s looks at what the kernel has, wherever that is mounted; of the second at what the root has. `kernel
# CONTROLLER`: one that the kernel has enabled, which need not be at the root of a container.
show_resources() {
    awk '
        $1 == "MemTotal:" { print "memory", $2 }
        $1 == "SwapTotal:" { print "swap", $2 }
        $3 == "cgroup2" && $2 == "/sys/fs/cgroup" { getline controllers <($2 "/cgroup.controllers"); print "cgroup 2", controllers }
        /^[0-9]+:[^:]+:/ { split($0, part, ":"); print "cgroup 1", part[2] }
        NF == 4 && $4 == "1" { print "kernel", $1 }
    ' /proc/meminfo /proc/self/mounts /proc/self/cgroup /proc/cgroups
}

# show_ports HEX...: `taken HEX` for each TCP port that somebody listens on, and who, where ss can tell.
show_ports() {
    test -z "$busy" || return 0
    ports=$*
    taken=$(awk -v "ports=$ports" '
        $4 == "0A" { parts = split($2, part, ":"); if (index(" " ports " ", " " part[parts] " ")) print "taken", part[parts] }
    ' /proc/net/tcp /proc/net/tcp6)
    test -z "$taken" || { printf '%s\n' "$taken" && ss -Hltnp; }
}

# show_kernel: which of the modules it has that k3s wants. Nothing is loaded that modprobe knows; what it does not know
# may be built in, which only a try can tell.
show_kernel() {
    test -z "$busy" || return 0
    echo asked
    for module in overlay br_netfilter bridge vxlan wireguard; do
        if test -d "/sys/module/$module" || modprobe -n -q "$module" || built_in "$module"; then echo "$module"; fi
    done
}

built_in() {
    case $1 in
        overlay) grep -qw overlay /proc/filesystems ;;
        br_netfilter) test -d /proc/sys/net/bridge ;;
        vxlan) unshare --net ip link add name wireloom type vxlan id 1 dstport 8472 ;;
        *) unshare --net ip link add name wireloom type "$1" ;;
    esac
}

# show_ufw: it is a program that is run once, and its unit is active also where it is off.
show_ufw() {
    test ! -r /etc/ufw/ufw.conf || while IFS= read -r line; do
        test "$line" != ENABLED=yes || echo ufw
    done </etc/ufw/ufw.conf
}

# show_members: a line for each node of the cluster; `failed`, and why. A kubectl that can't keep what it learned about
# the API asks again: it shall leave nothing behind.
show_members() {
    test -n "$serving" || return 0
    if told=$(KUBECACHEDIR=/dev/null timeout 12 "$binary" kubectl get nodes --request-timeout=8s -o "jsonpath=$columns" 2>&1); then
        printf 'told\n%s\n' "$told"
    else
        printf 'failed\n%s\n' "$told"
    fi
}
