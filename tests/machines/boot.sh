#!/bin/sh
# One machine, from power on to power off: sh boot.sh NAME ROOT BRIDGE CGROUP [OPTION...]
#
# stdout and stderr are its console; options are systemd-nspawn's. Each boot enters the machine's own cgroup first:
# machines that share a tree wait for each other's services for a minute and more.
name=$1 root=$2 bridge=$3 cgroup=$4
shift 4
rebooted=133 # systemd-nspawn's exit status when the machine asks for a reboot

boot() (
    mkdir -p "$cgroup" && echo 0 >"$cgroup/cgroup.procs" || exit
    exec setsid systemd-nspawn --quiet --boot --register=no --keep-unit --console=read-only --resolv-conf=off \
        --timezone=off --link-journal=no --machine="$name" --directory="$root" --network-bridge="$bridge" \
        --bind=/dev/net/tun --capability=CAP_NET_ADMIN "$@" \
        systemd.show_status=0 systemd.journald.forward_to_console=1 </dev/null
)

while :; do
    boot "$@"
    status=$?
    test "$status" -eq "$rebooted" || exit "$status"
done
