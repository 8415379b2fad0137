"""An archive of one image, as `docker save` writes it and k3s imports it: of a directory, without Docker.

    python archive.py DIRECTORY COMMAND NAME... >image.tar

The format is that of https://github.com/moby/docker-image-spec, version 1.2: a layer, its configuration, a
manifest. Equal directories make equal archives.
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _strip(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs from one making to the next."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def _pack(root: Path) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, str(path.relative_to(root)), recursive=False, filter=_strip)
    return layer.getvalue()


def write_image(root: Path, names: list[str], command: list[str], to: BinaryIO) -> None:
    """Write the archive of an image that has the files below ``root`` and runs ``command``."""
    layer = _pack(root)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": [PATH], "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"]}]
    with tarfile.open(fileobj=to, mode="w|") as tar:
        for name, content in {
            "layer.tar": layer,
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    directory, command, *names = sys.argv[1:]
    write_image(Path(directory), names, command.split(), sys.stdout.buffer)
