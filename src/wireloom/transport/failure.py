"""What a failed login means, in the operator's words: reason, advice, and whether to try again."""

import errno
import re
import socket
from dataclasses import dataclass
from enum import IntEnum

import asyncssh

from wireloom.transport.credentials import Credentials
from wireloom.transport.login import Login
from wireloom.transport.port import TransportError


class Stage(IntEnum):
    """How far a login came: nothing, TCP connected, host key accepted (credentials may have been sent)."""

    DIALLING = 0
    CONNECTED = 1
    AUTHENTICATING = 2


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt: the error to show, and whether another attempt may do better without doing harm."""

    error: TransportError
    again: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt that failed: to whom, with what, how far, within how many seconds, over which jump host."""

    login: Login
    credentials: Credentials
    stage: Stage
    timeout: float
    via: str | None = None


_REFUSED = {errno.ECONNREFUSED}
_DROPPED = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_SILENT = {errno.ETIMEDOUT}
_THROTTLED = (
    "sshd limits logins (MaxStartups, PerSourcePenalties), or fail2ban or a firewall blocks this machine; "
    "wait a little and try again"
)
_COULD_BE_DOWN = "is the machine up, is sshd running and listening on that port, does a firewall reject it?"


def explain(problem: Exception, attempt: Attempt) -> Failure:
    """Put a failed attempt into words. Never raises.

    Never to be tried again: whatever happened after credentials may have been sent, since servers count that
    against us (OpenSSH 9.8, PerSourcePenalties), and whatever a person must change.
    """
    match problem:
        case TimeoutError():
            failure = _silence(attempt)
        case socket.gaierror():
            failure = _no_such_name(problem, attempt)
        case asyncssh.ChannelOpenError():
            failure = _jump_failed(problem, attempt)
        case asyncssh.PermissionDenied():
            failure = Failure(_denied(attempt), again=False)
        case asyncssh.HostKeyNotVerifiable():
            failure = _final(
                f"the host certificate of {attempt.login.place} is not to be trusted: {problem.reason}",
                "look at `@cert-authority` and `@revoked` in known_hosts; have the certificate signed again",
            )
        case asyncssh.KeyExchangeFailed():
            failure = _final(
                f"{attempt.login.place} has no algorithm in common with us: {problem}", "update its OpenSSH"
            )
        case asyncssh.ConnectionLost():
            failure = _hung_up(attempt)
        case asyncssh.ProtocolNotSupported() | asyncssh.ProtocolError() if (
            attempt.stage < Stage.AUTHENTICATING
        ):
            failure = _final(
                f"{attempt.login.place} does not speak SSH: {problem}",
                "is it the right port? (`ssh` of the node)",
            )
        case asyncssh.DisconnectError():
            failure = _disconnected(problem, attempt)
        case OSError():
            failure = _socket_failed(problem, attempt)
        case _:
            failure = _final(f"ssh to {attempt.login.place} failed: {problem}", "")
    return failure


def _final(what: str, hint: str) -> Failure:
    """Somebody must act."""
    return Failure(TransportError(what, hint=hint), again=False)


def _passing(what: str, hint: str) -> Failure:
    """The machine did not answer: later may be better."""
    return Failure(TransportError(what, hint=hint, unreachable=True), again=True)


def _silence(attempt: Attempt) -> Failure:
    """The time was up; what it means depends on how far the login came."""
    place, seconds = attempt.login.place, f"{attempt.timeout:g} s"
    if attempt.stage is Stage.DIALLING:
        return _passing(
            f"no answer from {place} within {seconds}",
            "is the machine up, is the address right, does a firewall drop packets on the way?",
        )
    if attempt.stage is Stage.CONNECTED:
        return _passing(
            f"{place} accepted the connection but did not begin to speak SSH within {seconds}",
            "is sshd overloaded or hung, or is another service on that port?",
        )
    error = TransportError(
        f"the login of {attempt.login.who} did not finish within {seconds}",
        hint="a hung ssh agent, a key that waits for a touch, or a slow name service on the machine",
        unreachable=True,
    )
    return Failure(error, again=False)


def _no_such_name(problem: socket.gaierror, attempt: Attempt) -> Failure:
    """The host's name gave no address."""
    if problem.errno == socket.EAI_AGAIN:
        return _passing(
            f"the name {attempt.login.host} could not be looked up: DNS does not answer", "check DNS here"
        )
    return _final(
        f"there is no host named {attempt.login.host} in DNS or in the ssh configuration",
        "correct `ssh` of the node, or add the name",
    )


def _jump_failed(problem: asyncssh.ChannelOpenError, attempt: Attempt) -> Failure:
    """The jump host is there, and could not or would not connect onwards."""
    if problem.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return _final(
            f"the jump host {attempt.via} refuses to forward to {attempt.login.place}",
            "its sshd needs `AllowTcpForwarding yes` and a PermitOpen that allows it",
        )
    return _passing(
        f"the jump host {attempt.via} can't reach {attempt.login.place}: {problem.reason}", _COULD_BE_DOWN
    )


def _denied(attempt: Attempt) -> TransportError:
    """No key was accepted: which were offered, and which could not be."""
    who, offered = attempt.login.who, attempt.credentials
    tried = f"tried {', '.join(offered.tried)}" if offered.tried else "there was none to try"
    if offered.locked:
        tried += f"; passed over, being encrypted: {', '.join(offered.locked)}"
        hint = f"ssh-add {offered.locked[0]}"
    elif offered.tried:
        hint = (
            f"put the public key into ~/.ssh/authorized_keys of {attempt.login.user} there: ssh-copy-id {who}"
        )
    else:
        hint = "make a key with ssh-keygen -t ed25519, or name one with `identity` in the node's ssh settings"
    return TransportError(f"no key was accepted for {who}: {tried}", hint=hint)


def _hung_up(attempt: Attempt) -> Failure:
    """The connection was closed in the middle of the login."""
    if attempt.stage < Stage.AUTHENTICATING:
        return _passing(f"{attempt.login.place} closed the connection before the login", _THROTTLED)
    error = TransportError(
        f"{attempt.login.place} closed the connection during the login of {attempt.login.who}",
        hint="look at sshd's log on the machine (AllowUsers, DenyUsers, LoginGraceTime)",
        unreachable=True,
    )
    return Failure(error, again=False)


def _disconnected(problem: asyncssh.DisconnectError, attempt: Attempt) -> Failure:
    """The server said goodbye, with a reason."""
    if "too many authentication failures" in problem.reason.lower():
        error = _denied(attempt)
        hint = (
            "the agent holds more keys than the server lets us try: set `identity` in the node's ssh settings"
        )
        return Failure(TransportError(f"{error.what}; the server stopped listening", hint=hint), again=False)
    return _final(
        f"{attempt.login.place} ended the login: {_clean(problem.reason)}",
        "look at sshd's log on the machine",
    )


def _socket_failed(problem: OSError, attempt: Attempt) -> Failure:
    """TCP did not get through, or broke."""
    place, numbers = attempt.login.place, _error_numbers(problem)
    if numbers & _SILENT and not numbers & _REFUSED:
        return _silence(attempt)
    if numbers & _REFUSED:
        return _passing(f"connection refused by {place}", _COULD_BE_DOWN)
    if numbers & _DROPPED:
        return _hung_up(attempt)
    if numbers & _NO_WAY:
        return _passing(
            f"no route to {place}", "is the address right, is this machine on a network that reaches it?"
        )
    return Failure(
        TransportError(f"ssh to {place} failed: {problem.strerror or problem}", unreachable=True), again=False
    )


def _error_numbers(problem: OSError) -> set[int]:
    """The errno of each address that was tried: asyncio reports several as text only."""
    if problem.errno is not None:
        return {problem.errno}
    return {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(problem))}


def _clean(said: str) -> str:
    """A server's words, safe for a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in said)
