#!/bin/sh
# The first process of a lab: everything of the lab lives in its PID, mount and network namespaces, so
# when it is killed, the kernel takes all of it down. Its arguments are how a lab is found:
#
#     sh DIRECTORY/init.sh wireloom-lab NAME FLEETFILE        (working directory: DIRECTORY)
#
# stdin   "go" to begin, "ready DIGEST INSTANCE" at the end. The end of file before that means that
#         whoever builds the lab is gone: then the lab goes too.
# stdout  one line per step that is done.
# stderr  the log.
set -eu
exec 3>&1 1>&2
lab=$2

report() { printf '%s\n' "$*" >&3; }

keep_to_ourselves() {
    # The working directory stays what it was under the new /run: relative paths still lead there.
    mount -t tmpfs -o mode=755 lab /run
    mkdir /run/lab /run/lab/disks
    cp -R authorized_keys namespaces links machines networks machine.sh network.sh /run/lab/
    cd /
    # Nothing in the lab writes on this computer's own disk by accident.
    mount -o remount,bind,ro / || echo "the root file system stays writable inside of the lab"
    for directory in /tmp /var/tmp /dev/shm; do
        mount -t tmpfs -o mode=1777 lab "$directory"
    done
}

build_networks() {
    ip -batch /run/lab/namespaces
    ip -batch /run/lab/links
    for directory in /run/lab/networks/*; do
        nsenter --net="/run/netns/${directory##*/}" sh /run/lab/network.sh "$directory"
    done
}

start_machines() {
    while read -r name port; do
        nsenter --net="/run/netns/node-$name" \
            unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
            sh /run/lab/machine.sh wireloom-machine "$lab" "$name" "$port" </dev/null &
    done </run/lab/machines
}

read -r word
[ "$word" = go ]
keep_to_ourselves
build_networks
report networks
start_machines
read -r word digest instance
[ "$word" = ready ]
printf '%s %s\n' "$digest" "$instance" >/run/lab/ready.new
mv /run/lab/ready.new /run/lab/ready
report complete
exec 3>&- </dev/null
# dash and bash reap whatever is left to PID 1 while they wait.
sleep infinity &
wait
