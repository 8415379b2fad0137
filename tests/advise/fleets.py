"""Fleets to give advice on, as YAML, and the shortest way from there to the answer."""

from pathlib import Path

from wireloom.advise.advice import Advice, advise
from wireloom.advise.assumption import assume, parse_assumptions
from wireloom.advise.facts import Facts, look_at
from wireloom.intent.fleet import Fleet
from wireloom.intent.load import parse_fleet

MTU = 1420

PUBLIC = """\
fleet: public
underlay: { ipv4: 10.99.0.0/16, port: 51900 }
sites: { dc: {} }
nodes:
  cp1: { site: dc, public: [203.0.113.10], roles: [k3s-server] }
  w1: { site: dc, public: [203.0.113.11], roles: [k3s-agent] }
"""

CLOUDS = """\
fleet: clouds
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: { private: [10.0.0.0/16] }, ams: {}, sin: {} }
nodes:
  cp1: { site: fsn, public: [203.0.113.10], private: [10.0.0.2], roles: [k3s-server] }
  w1: { site: ams, public: [198.51.100.11], roles: [k3s-agent] }
  w2: { site: sin, public: [192.0.2.11], roles: [k3s-agent] }
"""

PRIVATE = """\
fleet: private
underlay: { ipv4: 10.99.0.0/16 }
sites: { office: { private: [10.0.0.0/16], nat: true } }
nodes:
  cp1: { site: office, private: [10.0.0.2], roles: [k3s-server] }
  w1: { site: office, private: [10.0.0.3], roles: [k3s-agent] }
"""

LAN = PRIVATE.replace(", nat: true", "").replace("office", "rack")
"""A private network of which nothing more is known."""

OUTSIDE = PRIVATE + "  db1: { site: office, private: [10.0.0.4] }\n"

HOME = CLOUDS + "  desk1: { site: home, roles: [k3s-agent] }\n"
HOME = HOME.replace("sin: {} }", "sin: {}, home: { nat: true } }")

SPREAD = CLOUDS.replace("k3s-agent", "k3s-server")

MACHINES = PUBLIC.replace(", roles: [k3s-server]", "").replace(", roles: [k3s-agent]", "")

UNGUARDED = PUBLIC.replace("port: 51900", "port: 51900, guard: false")


def cluster(fleet: str, keys: str = "") -> str:
    """A fleet with ``kubernetes:``, and these keys in it."""
    return f"{fleet}kubernetes: {{ {keys} }}\n"


def read(text: str) -> Fleet:
    return parse_fleet(text.encode(), Path("fleet.yaml"), ahead=True).fleet


def facts_of(text: str, *what_if: str) -> Facts:
    return assume(look_at(read(text), MTU), parse_assumptions(what_if))


def advice_on(text: str, *what_if: str) -> Advice:
    return advise(facts_of(text, *what_if))
