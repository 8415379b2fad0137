#!/bin/sh
# The first process of a lab's machine, in PID, mount, UTS, IPC and network namespaces of its own:
#
#     sh machine.sh wireloom-machine LAB NAME SSHPORT
#
# File descriptor 3 is told when the machine answers; stderr is the lab's log.
set -eu
name=$3
port=$4

report() { printf 'machine %s %s\n' "$name" "$*" >&3; }
trap 'report failed' EXIT

insert_disk() {
    # What a reboot keeps: one file system in memory, its directories mounted where they belong.
    disk=/tmp
    mount -t tmpfs -o mode=1777 "$name" "$disk"
    mkdir -m 755 "$disk/etc" "$disk/work" "$disk/var" "$disk/var/lib" "$disk/var/log" "$disk/var/cache"
    mkdir -m 700 "$disk/root" "$disk/root/.ssh" "$disk/wireguard"
    mkdir -m 1777 "$disk/tmp" "$disk/var/tmp"
    ln -s /run "$disk/var/run"
    cp /run/lab/authorized_keys "$disk/root/.ssh/authorized_keys"
}

clear_run() {
    # The lab's own /run goes away, and with it the view of every other machine's namespace. In one go:
    # --recursive would take them off one by one, 60 ms for 100.
    umount -l /run
    mount -t tmpfs -o mode=755 "$name" /run
    mkdir -m 755 /run/sshd
    mkdir -m 700 /run/wireguard
    mkdir -m 1777 /run/lock
}

use_disk() {
    # A kernel without overlayfs: a copy does it too.
    mount -t overlay -o "lowerdir=/etc,upperdir=$disk/etc,workdir=$disk/work" "$name" /etc 2>/dev/null || {
        cp -a /etc/. "$disk/etc/"
        mount --bind "$disk/etc" /etc
    }
    [ -d /etc/wireguard ] || mkdir /etc/wireguard
    # This computer's own WireGuard files are not the machine's.
    mount --bind "$disk/wireguard" /etc/wireguard
    mount --bind "$disk/root" /root
    mount --bind "$disk/var" /var
    mount --bind "$disk/tmp" "$disk"
    # /sys shows the interfaces of the namespace that it was mounted in.
    mount -t sysfs sysfs /sys
}

take_identity() {
    printf '%s\n' "$name" >/proc/sys/kernel/hostname
    # Removed first: they may be links into /run, which is empty now.
    rm -f /etc/hostname /etc/hosts /etc/machine-id /etc/shadow
    printf '%s\n' "$name" >/etc/hostname
    printf '127.0.0.1 localhost %s\n::1 localhost %s\n' "$name" "$name" >/etc/hosts
    tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
    # No passwords, and root not locked: sshd lets nobody into a locked account, not even by key.
    (umask 077 && printf 'root:*:19000:0:99999:7:::\n' >/etc/shadow)
    ssh-keygen -q -t ed25519 -N '' -C "$name" -f /etc/ssh/lab_host_key
}

boot() {
    # Without systemd this is what `systemctl enable wg-quick@…` does: a file per interface to start.
    for file in /var/lib/wireloom/boot/*; do
        if [ -e "$file" ]; then
            wg-quick up "${file##*/}" 3>&- || echo "$name: wg-quick up ${file##*/} failed"
        fi
    done
    start_sshd
}

start_sshd() {
    cat >/run/sshd/config <<CONFIG
Port $port
HostKey /etc/ssh/lab_host_key
PidFile /run/sshd/pid
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 500
MaxSessions 500
SetEnv PATH=$PATH
CONFIG
    # It goes into the background once it listens, and it must be called by its full path.
    "$(command -v sshd)" -f /run/sshd/config -E /var/log/sshd.log 3>&- || {
        cat /var/log/sshd.log >&2
        return 1
    }
}

cd /
insert_disk
clear_run
use_disk
take_identity
boot
report up
trap - EXIT
exec 3>&-
# dash and bash reap whatever is left to PID 1 while they wait.
sleep infinity &
wait
