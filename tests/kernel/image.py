"""What virtual machines start from: a disk and its kernel, of the same Debian as the other test machines.

The kernel has NVMe and ext4 built in, so it boots without an initial RAM disk. There is no wireguard-go in
it: what says WireGuard here is the kernel's.
"""

from dataclasses import replace

from tests.machines.image import Recipe, find_recipe

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "openssh-server", "sudo", "procps", "kmod"),
    *("wireguard-tools", "nftables", "iproute2", "iputils-ping", "tcpdump"),
    *("linux-image-cloud-amd64", "qemu-guest-agent"),
)
FINISH = """\
set -eu
systemctl --quiet enable systemd-networkd ssh
# Nobody logs in at the console, and machines that live for minutes need no housekeeping.
systemctl --quiet mask getty.target e2scrub_reap.service e2scrub_all.timer fstrim.timer \\
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
# A fifth of the time that booting takes in software, and nothing that a network would miss.
systemctl --quiet mask modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount \\
    dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount
systemctl --quiet set-default multi-user.target
cat >/usr/local/sbin/wake <<'END'
#!/bin/sh
# The first process, before systemd. A machine that has just been made finds what makes it itself on its
# second disk, which is a tar archive.
if ! test -e /etc/machine-id; then
    mount -t devtmpfs devtmpfs /dev
    modprobe --all virtio_pci virtio_blk
    tar --extract --file=/dev/vda --directory=/ --no-overwrite-dir
fi
exec /sbin/init
END
chmod 755 /usr/local/sbin/wake
# Where there is none, PAM complains about it at every login.
touch /etc/default/locale
rm -rf /etc/ssh/ssh_host_* /etc/machine-id /etc/hostname /etc/resolv.conf /var/lib/dbus/machine-id
rm -rf /boot/initrd.img-* /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
"""
PACK = """\
set -eu
cp root/boot/vmlinuz-* kernel
mke2fs -q -t ext4 -d root disk 2G
rm -r root
"""


def find_kernel_recipe() -> Recipe:
    """The recipe of virtual machines' image, which is two files: ``disk`` and ``kernel``."""
    return replace(find_recipe(), packages=PACKAGES, finish=FINISH, pack=PACK)
