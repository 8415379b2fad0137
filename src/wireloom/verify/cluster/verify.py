"""Test the claims about a cluster: by what it and its machines say, then by probes in it."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wireloom.cluster.seen import ClusterSeen, Member
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network
from wireloom.transport.crew import Crew
from wireloom.transport.each import carry_through
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName
from wireloom.verify.canaries import Catch
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.cluster.canaries import Stage, send_pod_canaries
from wireloom.verify.cluster.intended import Intended, choose_probed, intend
from wireloom.verify.cluster.judge import choose_again, judge_trials, unknown_trials
from wireloom.verify.cluster.layers import judge_layers
from wireloom.verify.cluster.members import judge_members
from wireloom.verify.cluster.probes import (
    READY_SECONDS,
    Probes,
    raising_script,
    read_probes,
    read_survey,
    removing_script,
    survey_script,
)
from wireloom.verify.cluster.reading import Reading, read_reading, reading_script
from wireloom.verify.cluster.trials import (
    KUBECTL_SECONDS,
    PARALLEL_KUBECTL,
    Trial,
    Tried,
    choose_requests,
    choose_trials,
    read_tried,
    trying_script,
)
from wireloom.verify.probe import PARALLEL
from wireloom.verify.sample import Pairs
from wireloom.verify.verify import NOT_ASKABLE, Wish

READ_SECONDS = 30.0
SETTLE_SECONDS = 5.0
"""Before what failed is tried once more: CoreDNS of a cluster that has just begun takes as long."""

REQUEST_SECONDS = 90.0
"""For what a server is asked, image look-up and clean-up included."""


class NoProbesError(Exception):
    """The probes could not be made; said for the operator."""


async def verify_cluster(
    fleet: Fleet, network: Network, crew: Crew, seen: ClusterSeen, *, askable: frozenset[NodeName], wish: Wish
) -> Catch:
    """The claims about the fleet's cluster, and captures; none where it has none.

    One that wireloom does not set up is tested if it is there. With ``wish.quick`` nothing is made in it.
    """
    intended = intend(fleet, network)
    if intended is None or (not intended.managed and _is_absent(intended, seen)):
        return Catch()
    claims = list(judge_members(intended, seen))
    if seen.members is None or seen.told_by is None:
        return Catch(tuple(claims))
    members = {name: one for name, one in seen.members.items() if name in intended.sites}
    pairs = choose_probed(intended, frozenset(members), sample=wish.sample)
    readings = await _read(crew, pairs, members, askable)
    claims += judge_layers(intended, members, readings, pairs)
    if wish.quick:
        return Catch(tuple(claims))
    work = _Work(intended, network, crew, members, pairs, askable, seen.told_by)
    catch = await work.probe(wish.probe_image)
    return Catch((*claims, *catch.claims), catch.captures)


def _is_absent(intended: Intended, seen: ClusterSeen) -> bool:
    """No machine that answered has a k3s, and nobody told of a cluster."""
    machines = [seen.machine(name) for name in intended.sites]
    return seen.members is None and all(one is None or one.version is None for one in machines)


async def _read(
    crew: Crew, pairs: Pairs, members: Mapping[NodeName, Member], askable: frozenset[NodeName]
) -> dict[NodeName, Reading]:
    """What the machines say of their devices; those whose answer makes no sense are left out."""
    nonce = f"wireloom-{secrets.token_hex(8)}"
    scripts = {
        name: reading_script(nonce, members[name], [members[other] for other in others])
        for name, others in pairs.items()
        if name in askable
    }
    found = {}
    for name, answer in (await crew.run(scripts, timeout=READ_SECONDS)).items():
        if isinstance(answer, Completed):
            try:
                found[name] = read_reading(answer.stdout, nonce)
            except (ValueError, TypeError, KeyError):
                continue
    return found


@dataclass(slots=True)
class _Work:
    """One run with probes. ``server`` is whom they are made through; ``name`` is their namespace."""

    intended: Intended
    network: Network
    crew: Crew
    members: Mapping[NodeName, Member]
    pairs: Pairs
    askable: frozenset[NodeName]
    server: NodeName
    name: str = field(default_factory=lambda: f"wireloom-verify-{secrets.token_hex(4)}")

    async def probe(self, image: str | None) -> Catch:
        """Make the probes, try everything, and take them away, whatever happens meanwhile."""
        nodes = [name for name in self.pairs if self.members[name].ready]
        try:
            probes = await self._raise(nodes, image)
            catch = await self._test(nodes, probes)
        except NoProbesError as error:
            catch = Catch(tuple(self._unknown(f"no probes: {error}")))
        finally:
            await carry_through(self._remove())
        return catch

    async def _remove(self) -> None:
        """Through another server where the first has gone; if none can, they end by themselves."""
        others = [name for name in self.pairs if name in self.intended.servers & self.askable]
        for server in dict.fromkeys((self.server, *others)):
            script = {server: removing_script(self.name)}
            answer = (await self.crew.run(script, timeout=REQUEST_SECONDS))[server]
            if isinstance(answer, Completed) and not answer.status:
                return

    async def _raise(self, nodes: Sequence[NodeName], image: str | None) -> Probes:
        """Raises NoProbesError."""
        nonce = f"wireloom-{secrets.token_hex(8)}"
        told = await self._ask(survey_script(self.name, nonce), REQUEST_SECONDS)
        try:
            ground = read_survey(told, nonce, image)
            script = raising_script(self.name, nonce, nodes, ground)
            return read_probes(await self._ask(script, READY_SECONDS + REQUEST_SECONDS), nonce, nodes)
        except ValueError as error:
            raise NoProbesError(str(error)) from None

    async def _ask(self, script: str, timeout: float) -> str:
        """What the server says. Raises NoProbesError."""
        answer = (await self.crew.run({self.server: script}, timeout=timeout))[self.server]
        if isinstance(answer, TransportError):
            raise NoProbesError(answer.what)
        return answer.stdout

    async def _test(self, nodes: Sequence[NodeName], probes: Probes) -> Catch:
        trials = {name: dict(enumerate(self._choose(name, probes))) for name in self.pairs}
        answers = await self._try(nodes, trials)
        claims = list(self._judge(trials, answers, probes))
        if again := choose_again(trials, claims):
            await asyncio.sleep(SETTLE_SECONDS)
            second = await self._try(nodes, again)
            answers |= {name: _amend(answers[name], one) for name, one in second.items()}
            claims = list(self._judge(trials, answers, probes))
        tried = {name: one for name, one in answers.items() if isinstance(one, Tried)}
        stage = Stage(self.intended, self.network, self.members, probes, tried)
        catch = await send_pod_canaries(stage, self.crew, self.pairs) if self.intended.backend else Catch()
        return Catch((*claims, *catch.claims), catch.captures)

    async def _try(
        self, nodes: Sequence[NodeName], trials: Mapping[NodeName, Mapping[int, Trial]]
    ) -> dict[NodeName, Tried | TransportError]:
        """Every machine that can be asked tries its own."""
        scripts = {
            name: trying_script(self.name, name, nodes, ones)
            for name, ones in trials.items()
            if name in self.askable
        }
        most = max(map(len, trials.values()), default=0)
        timeout = READ_SECONDS + most * (8 / 64 + 4 / PARALLEL + KUBECTL_SECONDS / PARALLEL_KUBECTL)
        answers = await self.crew.run(scripts, timeout=timeout)
        return {
            name: one if isinstance(one, TransportError) else read_tried(one.stdout)
            for name, one in answers.items()
        }

    def _judge(
        self,
        trials: Mapping[NodeName, Mapping[int, Trial]],
        answers: Mapping[NodeName, Tried | TransportError],
        probes: Probes,
    ) -> Iterator[Claim]:
        for name, others in self.pairs.items():
            answer = answers.get(name, NOT_ASKABLE)
            if isinstance(answer, TransportError):
                yield from unknown_trials(name, others, answer.what)
            else:
                yield from judge_trials(name, others, trials[name], answer, probes)

    def _choose(self, name: NodeName, probes: Probes) -> list[Trial]:
        """What one machine tries; a server also asks the kubelets."""
        chosen: list[Trial] = []
        if probes.ready(name):
            chosen += choose_trials(name, self.pairs[name], self.members, probes)
        if name in self.intended.servers:
            reachable = [one for one in (name, *self.pairs[name]) if probes.ready(one)]
            chosen += choose_requests(name, reachable, self.name)
        return chosen

    def _unknown(self, why: str) -> list[Claim]:
        """The claims that need probes, where there are none."""
        claims = [one for name, others in self.pairs.items() for one in unknown_trials(name, others, why)]
        for name, others in self.pairs.items():
            claims += [Claim("pod-canary", name, other, Verdict.UNKNOWN, why) for other in others]
        servers = [name for name in self.pairs if name in self.intended.servers]
        return claims + [
            Claim(kind, name, None, Verdict.UNKNOWN, why) for name in servers for kind in ("logs", "exec")
        ]


def _amend(first: Tried | TransportError, second: Tried | TransportError) -> Tried | TransportError:
    """What one machine said, by its second try where there is one."""
    if isinstance(second, TransportError):
        return first
    return second if isinstance(first, TransportError) else first.amended(second)
