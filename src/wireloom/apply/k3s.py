"""The text that each step for k3s sends to a machine: calls of k3s.sh, and texts for its files."""

import shlex
from dataclasses import dataclass

from wireloom.apply.script import Hand
from wireloom.cluster.places import AGENT_TOKEN, DATA, DATASTORE_ENDPOINT, SERVER_TOKEN, STATE, Role
from wireloom.cluster.plan import K3sNodePlan
from wireloom.observe.shell import read_functions
from wireloom.secret import DatastoreEndpoint, Token

HANDS = read_functions("wireloom.apply", "k3s.sh")

# What k3s writes once it has begun: the secret with the CA's digest before it, by which whoever joins knows
# that it talks to this cluster (docs.k3s.io/cli/token, "secure").
FULL_TOKENS = {Role.SERVER: f"{DATA}/server/token", Role.AGENT: f"{DATA}/server/agent-token"}


@dataclass(frozen=True, slots=True)
class K3sHand:
    """wireloom's hands for k3s; with a ``lease``, as long as that has the machine."""

    lease: Hand | None = None

    def script(self, *lines: str) -> str:
        """Calls with the functions that they need before them."""
        keep = self.lease.keep() if self.lease else ()
        return "\n".join([HANDS, *keep, *lines, ""])

    def take_note(self, plan: K3sNodePlan) -> str:
        """Before anything is brought: whose machine it is, and that what runs there has to be restarted."""
        note = _put(STATE, plan.desired.stamp.text, 0o600) if plan.note else ()
        return self.script(*note, *(["note_restart"] if plan.restart else ()))

    def prepare(self, plan: K3sNodePlan, database: DatastoreEndpoint | None) -> str:
        """Write the files; enable the unit. A unit that runs is not touched."""
        lines = [line for file in plan.write for line in _put(file.path, file.text, file.mode)]
        if plan.database and database is not None:
            lines += _put(DATASTORE_ENDPOINT, f"K3S_DATASTORE_ENDPOINT={_quoted(database.reveal())}\n", 0o600)
        if plan.enable or plan.desired.unit in plan.write:
            lines.append(f"enable {plan.role.service}")
        return self.script(*lines)

    def make_tokens(self) -> str:
        """Make the secrets of a new cluster, unless they are there."""
        return self.script(f"make_token {SERVER_TOKEN}", f"make_token {AGENT_TOKEN}")

    def show_tokens(self) -> str:
        """As a server: answers what lets a server in, an agent in, and the agents' secret by itself.

        Nothing is changed by it, and a server that has nothing else to do is nobody's: no lease is looked at.
        """
        calls = [f"hand_on {role.name.lower()} {path}" for role, path in FULL_TOKENS.items()]
        return K3sHand().script(*calls, f"hand_on short {AGENT_TOKEN}")

    def take_tokens(self, tokens: dict[str, Token]) -> str:
        """Write tokens, each to its file. They are in this text alone, which goes by stdin."""
        lines = []
        for path, token in tokens.items():
            lines += [_text(f"{token.reveal()}\n"), f"put {path} 600"]
        return self.script(*lines)

    def wake(self, plan: K3sNodePlan) -> str:
        """(Re)start k3s, without waiting for it."""
        return self.script(f"wake {plan.role.service}")

    def gate(self, role: Role, seconds: int) -> str:
        """Answers how far the unit is."""
        return self.script(f"gate {role.service} {seconds}")

    def ask(self, seconds: int) -> str:
        """As a server: answers who is ready."""
        return self.script(f"ask {seconds}")


def _quoted(value: str) -> str:
    """As in a file of systemd's EnvironmentFile= (systemd.exec(5))."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$")
    return f'"{escaped}"'


def _put(path: str, text: str, mode: int) -> tuple[str, str]:
    return _text(text), f"put {shlex.quote(path)} {mode:o}"


def _text(text: str) -> str:
    return f"text() {{ printf %s {shlex.quote(text)}; }}"
