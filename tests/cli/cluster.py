"""Machines that answer as told, in the place of those that a verb would dial."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from wireloom.cluster.seen import ClusterSeen
from wireloom.transport.crew import Crew
from wireloom.transport.fake import Answer, FakeTransport
from wireloom.values import NodeName

FLEET = """\
fleet: shop
underlay: { ipv4: 10.99.0.0/24 }
sites: { fsn: {}, ams: {} }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.10, public: [203.0.113.10], roles: [k3s-server] }
  cp2: { site: ams, ssh: root@198.51.100.20, public: [198.51.100.20], roles: [k3s-server] }
  cp3: { site: ams, ssh: root@198.51.100.21, public: [198.51.100.21], roles: [k3s-server] }
  w1: { site: fsn, ssh: root@203.0.113.11, public: [203.0.113.11], roles: [k3s-agent] }
  db1: { site: fsn, ssh: root@203.0.113.12, public: [203.0.113.12] }
kubernetes: { version: v1.34.2+k3s1 }
"""


def write_fleet(directory: Path, text: str = FLEET) -> Path:
    path = directory / "fleet.yaml"
    path.write_text(text)
    return path


def answer_for(patch: pytest.MonkeyPatch, module: str, answers: Mapping[str, Answer]) -> FakeTransport:
    """Have a verb's module speak with these; who is not named does not answer."""
    fake = FakeTransport({NodeName(name): answer for name, answer in answers.items()})

    @contextlib.asynccontextmanager
    async def open_crew(*_: object, **__: object) -> AsyncIterator[Crew]:
        async with Crew(fake) as crew:
            yield crew

    patch.setattr(f"{module}.open_crew", open_crew)
    return fake


def see(
    patch: pytest.MonkeyPatch, seen: ClusterSeen, answers: Mapping[str, Answer] | None = None
) -> FakeTransport:
    """Have a verb find this when it looks at k3s."""

    async def look_cluster(*_: object) -> ClusterSeen:
        return seen

    patch.setattr("wireloom.cli.cluster.ground.look_cluster", look_cluster)
    return answer_for(patch, "wireloom.cli.cluster.ground", answers or {})
