"""The root file system that every test machine starts from: a Debian made by debootstrap, built once, kept.

It lies in a directory whose name holds a hash of the recipe, so another recipe is another image and nobody
has to remember to throw one away. ``WIRELOOM_TEST_IMAGE`` names another place (a cache of continuous
integration, say), ``WIRELOOM_TEST_SUITE`` another Debian, ``WIRELOOM_TEST_MIRROR`` where packages come from.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IMAGE_VARIABLE = "WIRELOOM_TEST_IMAGE"
SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "procps", "kmod"),
    # Not the metapackage `wireguard`: it wants a kernel module's package.
    *("wireguard-tools", "wireguard-go", "nftables", "iproute2", "iputils-ping", "tcpdump"),
    *("locales", "fish", "zsh"),
)
FINISH = """\
set -eu
systemctl --quiet enable systemd-networkd ssh
localedef -i de_DE -f UTF-8 de_DE.UTF-8
rm -rf /etc/ssh/ssh_host_* /etc/machine-id /etc/hostname /etc/resolv.conf /var/lib/dbus/machine-id
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
"""
"""What is done inside of the new file system: nothing in it may be the same on all machines by accident."""

ADD = """\
set -eu
apt-get --quiet update
apt-get --quiet --yes --no-install-recommends install "$@"
"""

BUILD_SECONDS = 900
STAMP = "wireloom-test-image"


class ImageError(Exception):
    """There is no image and none could be built; the text says why."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is in an image; equal recipes make images that are as good as equal.

    ``finish`` is run inside of the new file system. ``pack``, if there is one, makes the image of it: it is
    run in a directory that has it as ``root``, and leaves there what the image shall be. With a ``base`` the
    file system is a copy of that image, and the packages are added to it.
    """

    suite: str = SUITE
    packages: tuple[str, ...] = PACKAGES
    finish: str = FINISH
    pack: str = ""
    base: "Recipe | None" = None

    @property
    def name(self) -> str:
        """The suite and a hash of all the rest."""
        text = "\n".join((self.suite, *self.packages, self.finish)) + self.pack
        if self.base:
            text += self.base.name
        return f"{self.suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def find_recipe() -> Recipe:
    """The recipe that the environment asks for."""
    return Recipe(os.environ.get("WIRELOOM_TEST_SUITE") or SUITE)


def find_place(recipe: Recipe, variable: str = IMAGE_VARIABLE) -> Path:
    """Where the image is kept, unless that variable of the environment names another place."""
    return Path(os.environ.get(variable) or f"/var/tmp/wireloom-test-image-{recipe.name}")


def provide_image(recipe: Recipe, place: Path, *, seconds: float = BUILD_SECONDS) -> Path:
    """The finished image at ``place``, built now unless it is there; other builders are waited for.

    Raises ImageError, also where ``place`` holds something that is not this image.
    """
    if not _is_finished(recipe, place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place.with_name(f"{place.name}.lock"), seconds):
            if not _is_finished(recipe, place):
                _build(recipe, place, seconds)
    return place


def _is_finished(recipe: Recipe, place: Path) -> bool:
    """Whether the image is there. It gets its name when it is complete, so half of one never has it."""
    if not place.exists():
        return False
    try:
        found = (place / STAMP).read_text().strip()
    except OSError:
        found = "something else"
    if found != recipe.name:
        raise ImageError(
            f"{place} is not the image {recipe.name} but {found}: remove it, or name another place"
        )
    return True


@contextmanager
def _alone(lock: Path, seconds: float) -> Iterator[None]:
    """Hold a lock that the kernel takes back whenever this process ends."""
    deadline = time.monotonic() + seconds
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ImageError(
                        f"another process has been building the image for {seconds:g} s"
                    ) from None
                time.sleep(0.2)
        yield


def _build(recipe: Recipe, place: Path, seconds: float) -> None:
    """Build beside the place and move there at the end; what an earlier builder left half done goes first."""
    half = place.with_name(f"{place.name}.half")
    if half.exists():
        shutil.rmtree(half)
    deadline = time.monotonic() + seconds
    root = half / "root" if recipe.pack else half
    if recipe.base:
        _extend(provide_image(recipe.base, find_place(recipe.base), seconds=seconds), recipe, root, deadline)
    else:
        _bootstrap(recipe, root, deadline)
    _run(["chroot", str(root), "sh", "-c", recipe.finish], deadline)
    if recipe.pack:
        _run(["env", f"--chdir={half}", "sh", "-c", recipe.pack], deadline)
    (half / STAMP).write_text(f"{recipe.name}\n")
    half.rename(place)


def _bootstrap(recipe: Recipe, root: Path, deadline: float) -> None:
    mirror = os.environ.get("WIRELOOM_TEST_MIRROR")
    include = f"--include={','.join(recipe.packages)}"
    _run(
        ["debootstrap", "--variant=minbase", include, recipe.suite, str(root), *([mirror] if mirror else [])],
        deadline,
    )


def _extend(base: Path, recipe: Recipe, root: Path, deadline: float) -> None:
    """A copy of another image with more packages, from where its own came from."""
    _run(["cp", "--archive", "--reflink=auto", str(base), str(root)], deadline)
    (root / STAMP).unlink()
    _run(["cp", "/etc/resolv.conf", str(root / "etc")], deadline)
    _run(["chroot", str(root), "sh", "-c", ADD, "sh", *recipe.packages], deadline)


def _run(command: list[str], deadline: float) -> None:
    """One step, in namespaces of its own: its mounts and processes end with it, and it ends with us."""
    guarded = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    try:
        done = subprocess.run(
            [*guarded, "--mount-proc", *command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=max(1.0, deadline - time.monotonic()),
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        raise ImageError(f"{command[0]} did not finish in time: is the network slow?") from None
    except OSError as error:
        raise ImageError(f"{error.filename or command[0]}: {error.strerror}") from None
    if done.returncode:
        said = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-12:])
        raise ImageError(f"{command[0]} failed with exit status {done.returncode}:\n{said}")
