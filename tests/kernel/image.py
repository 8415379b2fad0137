"""What virtual machines start from: a disk and its kernel, of the same Debian as the other test machines.

The kernel has to find its disk with modules, so there is an initial RAM disk, the smallest that will do. The
one disk that needs no module, NVMe, loses requests after a reset in QEMU 7.2. There is no wireguard-go in the
image: what says WireGuard here is the kernel's.
"""

from dataclasses import replace

from tests.machines.image import Recipe, find_recipe

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "openssh-server", "sudo", "procps", "kmod"),
    *("wireguard-tools", "nftables", "iproute2", "iputils-ping", "tcpdump"),
    *("linux-image-cloud-amd64", "qemu-guest-agent"),
    *("busybox-static", "cpio"),
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
early=$(mktemp -d)
cd "$early"
mkdir bin dev disk modules
cp /bin/busybox bin
for module in virtio_pci virtio_blk; do
    modprobe --set-version "$(ls /lib/modules)" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >order
# Their names say in which order they are loaded.
nl --number-width=2 --number-format=rz order |
    while read -r number file; do cp "$file" "modules/$number.ko"; done
cat >init <<'END'
#!/bin/busybox sh
# A machine that has just been made finds what makes it itself on its second disk, which is a tar archive.
busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do busybox insmod "$module"; done
# What nobody has synced stays off the disk: a loss of power shows who relied on luck.
busybox mount -t ext4 -o commit=600 /dev/vda /disk
busybox mount -o move /dev /disk/dev
if ! busybox test -e /disk/etc/machine-id; then
    busybox chroot /disk tar --extract --file=/dev/vdb --directory=/ --no-overwrite-dir
fi
exec busybox switch_root /disk /sbin/init
END
chmod 755 init
find bin dev disk modules init | cpio --quiet --create --format=newc >/boot/early
cd /
rm -r "$early"
# Where there is none, PAM complains about it at every login.
touch /etc/default/locale
rm -rf /etc/ssh/ssh_host_* /etc/machine-id /etc/hostname /etc/resolv.conf /var/lib/dbus/machine-id
rm -rf /boot/initrd.img-* /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
"""
PACK = """\
set -eu
cp root/boot/vmlinuz-* kernel
cp root/boot/early early
mke2fs -q -t ext4 -d root disk 2G
rm -r root
"""


def find_kernel_recipe() -> Recipe:
    """The recipe of virtual machines' image: the files ``disk``, ``kernel`` and ``early``, its RAM disk."""
    return replace(find_recipe(), packages=PACKAGES, finish=FINISH, pack=PACK)
