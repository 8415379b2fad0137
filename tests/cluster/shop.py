"""A fleet with k3s on it: three servers, an agent, and a machine that is not in Kubernetes."""

from tests.intent.files import load
from wireloom.intent.fleet import Fleet
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.values import NodeName

CP1, CP2, CP3, W1, DB1 = (NodeName(name) for name in ("cp1", "cp2", "cp3", "w1", "db1"))
TEXT = """\
fleet: shop
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: { private: [10.0.0.0/16] } }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], private: [10.0.0.1], roles: [k3s-server] }
  cp2: { site: fsn, ssh: root@203.0.113.2, public: [203.0.113.2], private: [10.0.0.2], roles: [k3s-server] }
  cp3: { site: fsn, ssh: root@203.0.113.3, public: [203.0.113.3], private: [10.0.0.3], roles: [k3s-server] }
  w1: { site: fsn, ssh: root@203.0.113.4, public: [203.0.113.4], private: [10.0.0.4], roles: [k3s-agent] }
  db1: { site: fsn, ssh: root@203.0.113.5, public: [203.0.113.5], private: [10.0.0.5] }
kubernetes: { version: v1.34.2+k3s1 }
"""


def shop(old: str = "", new: str = "") -> Fleet:
    """The fleet, with one part of its file replaced."""
    assert not old or TEXT.count(old) == 1, old
    return load(TEXT.replace(old, new) if old else TEXT).fleet


def network(fleet: Fleet) -> Network:
    """Its network: cp1 has 10.99.0.1, and so on in the order of the file."""
    return weave(fleet, allot(fleet, Lock(fleet.name)))
