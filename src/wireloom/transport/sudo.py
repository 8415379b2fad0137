"""sudo on a machine: how a root shell is started by it, with or without a password, and why it was not."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from wireloom.secret import Password
from wireloom.transport.port import TransportError
from wireloom.transport.raw import Raw, quote, read_mark
from wireloom.values import NodeName

PASSWORD_VARIABLE = "WIRELOOM_SUDO_PASSWORD"  # noqa: S105  # the name of a variable
"""The environment variable that the command line takes the password from."""

Ask = Callable[[], Awaitable[Password | None]]
"""Gets the password from whoever knows it; None: nobody does."""

WITHOUT_PASSWORD = "env LC_ALL=C sudo -n -- sh -s"  # noqa: S105
"""Root by a sudo that wants no password, or says at once that it does.

Every machine is tried with it first. Where it works, the script went along with it: NOPASSWD costs no
round trip, and nobody is asked for a password that no machine wants. One command for both kinds of machines
would wait for a prompt or a shell first, everywhere. So only a machine that wants a password pays: one round
trip for this, once in a command, and two for each shell. LC_ALL is for sudo's words, which are read.
"""


class PasswordWanted(TransportError):
    """sudo would let us in with a password, and was not given one."""


@dataclass(slots=True)
class MachineSudo:
    """What is known of sudo on one machine.

    ``password``: what it wants (None: it has not asked). ``refusal``: its answer to that; nothing more is
    sent to it then, since every wrong try counts, and three lock an account (pam_faillock).
    """

    password: Password | None = None
    refusal: TransportError | None = None


@dataclass(slots=True)
class FleetSudo:
    """What one command has learned of sudo on its machines, however often it connects to them.

    ``password`` is the one for all of them, once somebody was ``asked`` for it.
    """

    password: Password | None = None
    asked: bool = False
    machines: dict[NodeName, MachineSudo] = field(default_factory=dict)

    def on(self, node: NodeName) -> MachineSudo:
        """What is known of one machine."""
        return self.machines.setdefault(node, MachineSudo())


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sudo that asks for a password on stdin, and a shell behind it that says when it is there.

    ``nonce`` is a random word of letters, digits and dashes. The command holds neither mark in the form in
    which it comes back: a login shell that shows its commands (``set -x``) would else be taken for sudo, and
    the password would go to a shell. PAM's own questions are replaced by this prompt, too, so a one-time code
    that is asked for first gets the password: it is refused, and we stop there.
    """

    nonce: str

    @property
    def command(self) -> str:
        """Fixed but for the random word; single quotes mean the same to every login shell."""
        return f"env LC_ALL=C sudo -S -p {self.nonce}%%sudo -- sh -c 'echo {self.nonce} shell $$; exec sh -s'"

    @property
    def mark(self) -> str:
        """The prompt as sudo prints it."""
        return f"{self.nonce}%sudo"

    def split(self, stderr: str) -> list[str]:
        """What was said before the first prompt, and after each. Sudo-rs puts a frame around it."""
        return re.split(rf"(?:\[sudo: )?{re.escape(self.mark)}(?:\] Password:)?", stderr)

    def times_asked(self, stderr: bytes | bytearray) -> int:
        """How often sudo has asked so far."""
        return stderr.count(self.mark.encode())

    def has_shell(self, stdout: bytes | bytearray) -> bool:
        """Whether the shell runs that reads what is sent from now on."""
        return read_mark(stdout, f"{self.nonce} shell".encode()) is not None


_WANTED = ("a password is required", "interactive authentication is required")
_WRONG = ("incorrect password attempt", "incorrect authentication attempt")
_REFUSALS = (
    (("must have a tty",), "insists on a terminal (requiretty)", "`Defaults:{user} !requiretty`"),
    (
        ("not in the sudoers", "may not run sudo", "is not allowed to", "i'm afraid i can't do that"),
        "does not allow this user to run commands",
        "`{user} ALL=(root) NOPASSWD: ALL`",
    ),
    (("unknown user", "unable to resolve"), "is not set up properly", "correct lines"),
)
_AS_ROOT = "or log in as root (`sudo: false`)"


def explain(raw: Raw, nonce: str, who: str) -> TransportError:
    """Why sudo on the machine of ``who`` (user@host) did not start the script, from its own words."""
    before, *answers = Prompt(nonce).split(raw.stderr)
    said = "".join((before, *answers))
    words = said.lower()
    user = who.partition("@")[0]
    if len(answers) > 1 or _any_of(_WRONG, words):
        return _password_refused(answers, who)
    if _any_of(_WANTED, words):
        return PasswordWanted(
            f"sudo on {who} asks for a password{quote(said)}",
            hint=f"set {PASSWORD_VARIABLE}, or run this in a terminal and without --yes to be asked for it; "
            f"or let sudo ask for none: `{user} ALL=(root) NOPASSWD: ALL` in a file under /etc/sudoers.d; "
            f"{_AS_ROOT}",
        )
    for signs, reason, remedy in _REFUSALS:
        if _any_of(signs, words):
            hint = f"put {remedy.format(user=user)} into a file under /etc/sudoers.d; {_AS_ROOT}"
            return TransportError(f"sudo on {who} {reason}{quote(said)}", hint=hint)
    if raw.status == 127:
        what, hint = f"there is no sudo on the machine of {who}", f"install sudo, {_AS_ROOT}"
        return TransportError(what, hint=hint)
    return TransportError(
        f"sudo on {who} did not start a shell (exit status {raw.status}){quote(said or raw.stdout)}",
        hint=f"try it by hand: ssh {who} sudo -n -- id",
    )


def _any_of(signs: Iterable[str], words: str) -> bool:
    """Whether one of the signs is in what was said."""
    return any(sign in words for sign in signs)


def _password_refused(answers: Sequence[str], who: str) -> TransportError:
    """The password was no good; ``answers`` is what sudo said after each time that it asked.

    After a wrong password it complains before it asks again; without a complaint it is another question.
    """
    if len(answers) > 1 and not answers[0].strip():
        return TransportError(
            f"sudo on {who} wants something more than a password (a one-time code?)",
            hint=f"wireloom has a password to give and nothing else: let sudo ask for no more, {_AS_ROOT}",
        )
    return TransportError(
        f"sudo on {who} did not accept the password{quote(answers[0] if answers else '')}",
        hint="it was sent there once, and is not sent there again. Is it this machine's, is the account "
        f"locked? Try it by hand: ssh -t {who} sudo -v",
    )
