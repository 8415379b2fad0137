"""What to do about a machine that does not get through its gate, by what its k3s says. Pure."""

import re

from wireloom.cluster.places import AGENT_TOKEN, DATA, SERVER_TOKEN, Role
from wireloom.cluster.plan import K3sNodePlan

_TOKEN = re.compile(
    r"\b401\b|[Uu]nauthorized|not authorized|token CA hash|invalid token|token must not be|different token"
)
"""How k3s says that a token is not its cluster's (k3s, pkg/clientaccess/token.go, pkg/cluster/storage.go)."""


def advise(one: K3sNodePlan, why: str) -> str:
    """What to do on that machine; ``why`` has the last words of its k3s."""
    if not _TOKEN.search(why):
        return f"on {one.name}: journalctl -u {one.role.service} -e; then apply again, it goes on from here"
    what = f"its token is not the cluster's. On {one.name}: rm"
    if one.role is Role.AGENT:
        return f"{what} {AGENT_TOKEN}; the next apply hands it the right one"
    return (
        f"{what} {SERVER_TOKEN} {AGENT_TOKEN}; the next apply hands it those of another server. If it is the"
        f" only one: sed 's/.*://' {DATA}/server/token >{SERVER_TOKEN}; then apply"
    )
