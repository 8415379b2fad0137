"""A release of k3s: what it is called, where it is, and by which digest it is known."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

ASSETS = {
    "x86_64": ("amd64", "k3s"),
    "aarch64": ("arm64", "k3s-arm64"),
    "armv7l": ("arm", "k3s-armhf"),
    "s390x": ("s390x", "k3s-s390x"),
}
"""By what `uname -m` says: k3s' word for the architecture, and the name of its binary."""

_CHECKSUM = re.compile(r"([0-9a-f]{64})[ *]+(\S+)")


@dataclass(frozen=True, slots=True)
class Release:
    """The binary of one version for one architecture (as `uname -m` names it), below ``mirror``, a URL.

    The files are named as k3s publishes them (docs.k3s.io/installation/airgap).
    """

    version: str
    architecture: str
    mirror: str

    @property
    def name(self) -> str:
        """What the digest is kept under: ``v1.34.2+k3s1/amd64``."""
        return f"{self.version}/{ASSETS[self.architecture][0]}"

    @property
    def url(self) -> str:
        """Where the binary is."""
        return f"{self._directory}/{ASSETS[self.architecture][1]}"

    @property
    def checksums_url(self) -> str:
        """Where the list of digests is."""
        return f"{self._directory}/sha256sum-{ASSETS[self.architecture][0]}.txt"

    @property
    def _directory(self) -> str:
        return f"{self.mirror.rstrip('/')}/{quote(self.version, safe='')}"

    def find_digest(self, checksums: str) -> str:
        """The SHA-256, in hex, of the binary, from the text of the list. Raises ValueError."""
        lines = (_CHECKSUM.fullmatch(line.strip()) for line in checksums.splitlines())
        digests: Mapping[str, str] = {line[2]: line[1] for line in lines if line}
        binary = ASSETS[self.architecture][1]
        if binary not in digests:
            raise ValueError(f"it does not name {binary}")
        return digests[binary]
