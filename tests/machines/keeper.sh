#!/bin/sh
# The life of a group of test machines. Run in network and mount namespaces of its own:
#
#     unshare --net --mount sh keeper.sh NAME
#
# stdin   held open for as long as the machines shall live. Its end, also by the death of whoever holds it,
#         ends the first process of the group's PID namespace, and the kernel ends all others with it.
# stdout  the process to enter the group by, then "ready".
#
# Mounts, links and processes go with the namespaces; what could outlive them are the cgroups, taken away here.
set -eu
cgroup=/sys/fs/cgroup/$1

# One unified hierarchy, as on the systems that we stand for, however this computer has mounted its own.
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
trap 'find "$cgroup" /run/cgroup/*/"$1" -depth -type d -exec rmdir {} \; 2>/dev/null || :' EXIT
mkdir "$cgroup"
# What systemd-nspawn keeps in /run stays here too, and it finds no systemd of this computer to talk to.
mount -t tmpfs -o mode=755 machines /run
# For machines that shall have the controllers of this computer, where they are of version 1 (proc(5), cgroups(7)).
awk -F: '$2 != "" { print $2 }' /proc/self/cgroup | while read -r hierarchy; do
    case $hierarchy in *=*) options=none,$hierarchy ;; *) options=$hierarchy ;; esac
    mkdir -p "/run/cgroup/${hierarchy#name=}"
    mount -t cgroup -o "$options" cgroup "/run/cgroup/${hierarchy#name=}"
done
ip link set lo up

exec 3<&0
# shellcheck disable=SC2016  # for the inner shell
unshare --pid --fork --mount-proc sh -c 'cat <&3 >/dev/null & echo ready; wait $!' "$1" &
echo "$!"
exec 3<&- </dev/null
wait "$!" || :
