#!/bin/sh
# Run a machine with the cgroup controllers that a kubelet wants: sh cgroups.sh NAME COMMAND...
#
# Where this computer's controllers are of version 1, the machine sees them as such a computer has them, and in each
# hierarchy only what is below a cgroup of its own. keeper.sh has mounted the hierarchies in /run/cgroup, and takes
# away what is left of NAME in them. Elsewhere the command runs as it is.
name=$1
shift
set -- "$@"
ls /run/cgroup/*/tasks >/dev/null 2>&1 || exec "$@"

mount -t tmpfs cgroup /sys/fs/cgroup
for hierarchy in /run/cgroup/*; do
    place=/sys/fs/cgroup/${hierarchy##*/}
    mkdir "$place" && mount --bind "$hierarchy" "$place" || exit
    mkdir -p "$place/$name"
    # A cpuset has to have some of them before anybody can be in it.
    test ! -e "$place/cpuset.cpus" || for one in "$place/${name%/*}" "$place/$name"; do
        cat "$place/cpuset.cpus" >"$one/cpuset.cpus"
        cat "$place/cpuset.mems" >"$one/cpuset.mems"
        echo 1 >"$one/cgroup.clone_children"
    done
    echo 0 >"$place/$name/cgroup.procs"
done
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0
exec "$@"
