"""Our side of one login: the host key is judged before anything of ours is sent."""

import asyncssh

from wireloom.transport.failure import Stage
from wireloom.transport.hostkey import Known, Verdict, fingerprint, judge, key_text
from wireloom.transport.login import Login
from wireloom.transport.port import HostKeyUnknown, TransportError


class Guest(asyncssh.SSHClient):
    """asyncssh's callbacks for one attempt. ``refusal``: why we did not want to go on, if it was us."""

    def __init__(self, login: Login, pinned: str | None, known: Known, *, accept_new: bool) -> None:
        self.login = login
        self.pinned = pinned
        self.known = known
        self.refusal: TransportError | None = None
        self._accept_new = accept_new
        self._ssh: asyncssh.SSHClientConnection | None = None

    @property
    def stage(self) -> Stage:
        """How far the login came."""
        if self._ssh is None:
            return Stage.DIALLING
        return Stage.CONNECTED if self._ssh.get_server_host_key() is None else Stage.AUTHENTICATING

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """TCP is there."""
        self._ssh = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Judge the key that the machine shows; that it has the private half is checked by asyncssh."""
        offered = key_text(key)
        match judge(offered, pinned=self.pinned, known=self.known):
            case Verdict.TRUSTED:
                return True
            case Verdict.UNKNOWN:
                self.refusal = self._first_contact(offered)
            case Verdict.CHANGED:
                self.refusal = self._changed(offered)
            case Verdict.REVOKED:
                self.refusal = self._revoked(offered)
        return self.refusal is None

    def _first_contact(self, offered: str) -> TransportError | None:
        """Nobody knows this key: fine where that was said beforehand.

        Never for a machine that is not in the fleet: there is no place where its key would be kept.
        """
        login, print_ = self.login, fingerprint(offered)
        if login.node is None:
            return TransportError(
                f"the host key of {login.place}, a jump host, is not in known_hosts ({print_})",
                hint=f"log in once by hand and check the fingerprint: ssh {login.alias}",
            )
        if self._accept_new:
            return None
        return HostKeyUnknown(
            f"first contact with {login.node} ({login.place}): its host key {print_} is not known yet",
            node=login.node,
            host_key=offered,
            fingerprint=print_,
            hint="compare on the machine: for f in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $f; done"
            " (--yes accepts it)",
        )

    def _changed(self, offered: str) -> TransportError:
        """Another key than expected: an attack, or a machine that was installed again."""
        login = self.login
        name = login.node or login.host
        expected = (self.pinned,) if self.pinned is not None else self.known.keys
        remedy = (
            f"remove `ssh_host_key` of {name} from the fleet's lock file"
            if self.pinned is not None
            else f"remove the old key: ssh-keygen -R {_known_hosts_name(login)}"
        )
        return TransportError(
            f"the host key of {name} ({login.place}) has changed: expected "
            f"{' or '.join(f'{fingerprint(one)} ({_kind(one)})' for one in expected)}, "
            f"got {fingerprint(offered)} ({_kind(offered)})",
            hint="this may be an attack, or the machine was installed again. Nothing was sent to it. If you "
            f"know why, compare the new fingerprint on the machine's console, then {remedy} and try again",
        )

    def _revoked(self, offered: str) -> TransportError:
        """known_hosts says @revoked."""
        return TransportError(
            f"the host key {fingerprint(offered)} of {self.login.place} is marked @revoked in known_hosts",
            hint="nothing was sent to it. Remove the key on the machine, and make a new one: ssh-keygen -A",
        )


def _kind(host_key: str) -> str:
    """The type of a key in ``type base64``."""
    return host_key.partition(" ")[0]


def _known_hosts_name(login: Login) -> str:
    """How known_hosts writes a machine, ready for a shell."""
    name = login.key_alias or login.host
    return name if login.port == 22 else f"'[{name}]:{login.port}'"
