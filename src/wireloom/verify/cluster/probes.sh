# shellcheck shell=sh
# Probes in the cluster, made, told of and taken away on one of its servers; and their processes on their machines.
# Needs: probe, the namespace of this run; pid for what runs within a probe; patience, in seconds, to ask a kubelet.
# shellcheck disable=SC2154  # the caller's

export KUBECONFIG=/etc/rancher/k3s/k3s.yaml

# Take away what runs left behind more than an hour ago.
sweep_probes() {
    now=$(date +%s)
    timeout 20 k3s kubectl get namespaces -l wireloom=verify \
        -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.labels.wireloom-began}{"\n"}{end}' 2>/dev/null |
    while read -r name began; do
        case $began in ''|*[!0-9]*) continue ;; esac
        [ $((now - began)) -lt 3600 ] || timeout 20 k3s kubectl delete namespace "$name" --wait=false >/dev/null 2>&1
    done
}

# What image a probe may have: the one that the cluster's own helper pods have, and those that are on its nodes.
survey_images() {
    echo; echo "$1 clock"
    date +%s
    echo; echo "$1 helper"
    timeout 20 k3s kubectl -n kube-system get configmap local-path-config -o 'jsonpath={.data.helperPod\.yaml}' 2>/dev/null
    echo; echo "$1 images"
    timeout 20 k3s kubectl get nodes -o 'jsonpath={range .items[*].status.images[*].names[*]}{@}{"\n"}{end}' 2>/dev/null |
        grep busybox | sort -u
    echo; echo "$1 end"
}

# Make what is described on stdin, wait until the pods are Ready, so many seconds at most, and print it all.
raise_probes() {
    if ! said=$(timeout 60 k3s kubectl create -f - 2>&1 >/dev/null); then
        echo; echo "$2 refused"; echo "$said"
    fi
    timeout $(($1 + 10)) k3s kubectl -n "$probe" wait pods --all --for=condition=Ready "--timeout=$1s" >/dev/null 2>&1
    echo; echo "$2 api"
    timeout 20 k3s kubectl -n default get service kubernetes -o json
    echo; echo "$2 probes"
    timeout 20 k3s kubectl -n "$probe" get pods,services -o json
    echo; echo "$2 end"
}

remove_probes() {
    timeout 30 k3s kubectl delete namespace "$probe" --ignore-not-found --wait=false
}

# Find the process of a probe on this machine, the MTU of its interface, and its name server: nobody else has
# this mark in its environment.
find_probe() {
    pid=$(grep -lsF -- "$1" /proc/[0-9]*/environ 2>/dev/null | sed -n '1s,/proc/\(.*\)/environ,\1,p')
    [ -n "$pid" ] || return
    mtu=$(within ip -o link show eth0 | sed -n 's/.* mtu \([0-9]*\).*/\1/p')
    # shellcheck disable=SC2034  # both are for the caller
    server=$(sed -n 's/^nameserver *//p' "/proc/$pid/root/etc/resolv.conf" | head -n 1)
    # shellcheck disable=SC2034
    domain=$(sed -n 's/^search .*\.svc\.\([^ ]*\) svc\..*/\1/p' "/proc/$pid/root/etc/resolv.conf")
    echo "process $pid"
    echo "mtu ${mtu:=0}"
}

# `bridged DEVICE` for the devices of pods on this machine.
list_bridged() {
    ip -o link show master "$1" 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/bridged \1/'
}

# Run a command in the network of the probe whose process is $pid.
within() {
    nsenter -t "$pid" -n "$@"
}

# Ping from the probe with so many bytes, not to be cut in pieces.
ping_within() {
    echo "said $1 $(within ping -n -i 0.3 -W 2 -c 3 -M 'do' -s "$3" "$2" 2>&1 | tr '\n' ' ')"
}

# `said NUMBER STATUS LAST-LINE` for a command of kubectl.
ask_kubectl() {
    number=$1
    shift
    said=$(timeout "$patience" k3s kubectl -n "$probe" "$@" 2>&1)
    echo "said $number $? $(printf '%s\n' "$said" | tail -n 1)"
}
