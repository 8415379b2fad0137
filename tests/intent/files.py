"""Fleet files to test with: a whole one that is right, and small ones around the part under test."""

from pathlib import Path

from wireloom.errors import Diagnostic, UserError
from wireloom.intent.load import Loaded, parse_fleet

PATH = Path("fleet.yaml")
EXAMPLE = Path(__file__).parents[2] / "examples" / "three-datacentres.yaml"

# Every key there is. Two nodes that reach each other are enough for it to be right.
WHOLE = """\
fleet: shop
lab: {}
underlay:
  interface: wg7
  port: 51821
  ipv4: 10.99.0.0/16
  ipv6: fd42:99::/64
  mtu: 1400
  preshared_keys: false
sites:
  fsn: { private: [10.0.0.0/16, "fd00:1::/64"], subnets: [] }
  office: { nat: true }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.10, public: [203.0.113.10, "2001:db8::10"], private: [10.0.0.2], roles: [k3s-server] }
  w1: { site: office, ssh: { host: 10.8.0.5, user: deploy, port: 2222, jump: cp1, sudo: true, identity: ~/.ssh/id }, nat: false, public: [198.51.100.7] }
devices: {}
kubernetes: { distribution: k3s, version: v1.34.2+k3s1, cni: flannel, encrypt: underlay, pods: [10.44.0.0/16], services: [10.45.0.0/16], public_api: true, mirror: "https://k3s.example/releases", protected: true }
ssh: { user: admin, port: 22, jump: null, sudo: false, identity: null }
"""  # noqa: E501


def load(text: str | bytes) -> Loaded:
    """The fleet of a text."""
    return parse_fleet(text if isinstance(text, bytes) else text.encode(), PATH)


def mistakes(text: str | bytes) -> tuple[Diagnostic, ...]:
    """What is wrong with a text; empty when nothing is."""
    try:
        load(text)
    except UserError as error:
        return error.diagnostics
    return ()


def nodes(*lines: str, sites: str = "{ a: { private: [10.0.0.0/16] }, b: {}, n: { nat: true } }") -> str:
    """A file with these nodes from line 5 on, indented by two."""
    head = f"fleet: t\nunderlay: {{ ipv4: 10.99.0.0/24 }}\nsites: {sites}\nnodes:\n"
    return head + "".join(f"  {line}\n" for line in lines)


def whole(old: str, new: str) -> str:
    """The whole file with one part replaced."""
    assert WHOLE.count(old) == 1, old
    return WHOLE.replace(old, new)
