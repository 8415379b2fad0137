"""Tokens go from a server that is in the cluster to machines that join, through us and nobody else."""

from collections.abc import Sequence

from wireloom.apply.k3s import K3sHand
from wireloom.apply.step import STEP_TIMEOUT, read_answer, trouble_of
from wireloom.cluster.places import AGENT_TOKEN, SERVER_TOKEN, Role
from wireloom.cluster.plan import K3sNodePlan
from wireloom.secret import Token
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName


class Tokens:
    """What lets servers and agents in: asked for once, kept in memory only."""

    def __init__(self, crew: Crew, hand: K3sHand) -> None:
        self._crew = crew
        self._hand = hand
        self._known: dict[str, Token] = {}

    async def hand_on(
        self, joining: Sequence[K3sNodePlan], sources: Sequence[NodeName]
    ) -> dict[NodeName, Completed | TransportError]:
        """Have each machine's tokens in its files; the answers of those that join, or why there are none."""
        trouble = TransportError("no server of the cluster could be asked for a token")
        for source in sources if not self._known else ():
            try:
                self._known = await self._learn(source)
                break
            except TransportError as error:
                trouble = error
        if not self._known:
            return {one.name: trouble for one in joining}
        scripts = {one.name: self._hand.take_tokens(self._of(one.role)) for one in joining}
        return await self._crew.run(scripts, timeout=STEP_TIMEOUT)

    async def _learn(self, source: NodeName) -> dict[str, Token]:
        """Ask a server. Raises TransportError."""
        answers = await self._crew.run({source: self._hand.show_tokens()}, timeout=STEP_TIMEOUT)
        answer = answers[source]
        trouble = trouble_of(source, answer, "token")
        if trouble is not None:
            raise TransportError(f"{source} gave no token: {trouble.detail}", hint=trouble.hint)
        said = read_answer(answer)
        try:
            return {name: Token(said[name]) for name in ("server", "agent", "short")}
        except (KeyError, ValueError):
            raise TransportError(f"{source} gave no token that k3s would take") from None

    def _of(self, role: Role) -> dict[str, Token]:
        """Which file gets which token. A server has the agents' secret as it was made: k3s compares it so."""
        if role is Role.AGENT:
            return {AGENT_TOKEN: self._known["agent"]}
        return {SERVER_TOKEN: self._known["server"], AGENT_TOKEN: self._known["short"]}
