"""The way to a machine: the jump hosts before it, in order, from the fleet file or from ProxyJump."""

from collections.abc import Awaitable, Callable, Mapping

from wireloom.transport.login import Login, parse_jump
from wireloom.transport.port import TransportError
from wireloom.values import NodeName, SshTarget

Route = tuple[Login, ...]
"""Every machine to log in to, the target last. Routes that begin alike share those logins."""

Reader = Callable[[SshTarget, NodeName | None], Awaitable[Login]]

MAX_HOPS = 8


async def find_route(node: NodeName, targets: Mapping[NodeName, SshTarget], read: Reader) -> Route:
    """The route to ``node``: built here hop by hop, since a jump host may need a jump host itself.

    ``jump`` in the fleet file names a node first, else a host; ProxyJump in the ssh configuration always
    names hosts. In a list ``a,b`` every hop is reached through the one before, and only the first one's own
    jump counts (ssh_config(5), ProxyJump). Raises TransportError for a node without ssh, and for a circle.
    """
    target = targets.get(node)
    if target is None:
        raise TransportError(f"{node} has no ssh settings", hint=f"give `{node}` an `ssh:` in the fleet file")
    return await _Search(targets, read).through(target, node, ())


class _Search:
    """One search for a route, through the fleet's targets and the configuration that ``read`` knows."""

    def __init__(self, targets: Mapping[NodeName, SshTarget], read: Reader) -> None:
        self._targets = targets
        self._read = read

    async def through(self, target: SshTarget, node: NodeName | None, seen: tuple[str, ...]) -> Route:
        """The route to ``target``; ``seen`` are the names that already wait for it."""
        name = node or target.host
        if name in seen or len(seen) >= MAX_HOPS:
            raise TransportError(
                f"the jump hosts go round in a circle: {' → '.join((*seen, name))}",
                hint="one of them must be reachable without a jump",
            )
        login = await self._read(target, node)
        if target.jump is not None:
            before = await self._hops(target.jump, (*seen, name), nodes=True)
        elif login.jump is not None and login.jump.lower() != "none":
            before = await self._hops(login.jump, (*seen, name), nodes=False)
        else:
            before = ()
        return (*before, login)

    async def _hops(self, jump: str, seen: tuple[str, ...], *, nodes: bool) -> Route:
        """The route through a list of jump hosts; ``nodes``: their names may be nodes of the fleet."""
        first, *others = (one.strip() for one in jump.split(","))
        target, node = self._named(first, nodes=nodes)
        route = await self.through(target, node, seen)
        for one in others:
            target, node = self._named(one, nodes=nodes)
            route = (*route, await self._read(target, node))
        return route

    def _named(self, text: str, *, nodes: bool) -> tuple[SshTarget, NodeName | None]:
        """The machine that a jump's text means."""
        node = NodeName(text)
        if nodes and node in self._targets:
            return self._targets[node], node
        return parse_jump(text), None
