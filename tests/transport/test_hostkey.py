"""Host keys: who vouches, and what is said when nobody does."""

from pathlib import Path

import pytest

from tests.transport.conftest import ServerMaker, TransportMaker
from tests.transport.sshd import Sshd, make_key, public, sign_host_key
from wireloom.transport.hostkey import Known, Verdict, fingerprint, judge
from wireloom.transport.port import HostKeyUnknown, TransportError
from wireloom.transport.ssh import SshTransport
from wireloom.values import NodeName, SshTarget

N = NodeName("n")
OLD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5b3Bn0pJr1c2v1nT8s4cYb1sQm2oXj9l0b6m0f1x2y"
NEW = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5b3Bn0pJr1c2v1nT8s4cYb1sQm2oXj9l0b6m0f1x2z"

JUDGED = {
    "nobody": (Verdict.UNKNOWN, None, ()),
    "pinned": (Verdict.TRUSTED, f"{NEW} a comment", ()),
    "pinned, other": (Verdict.CHANGED, OLD, ()),
    "pin beats known_hosts": (Verdict.CHANGED, OLD, (NEW,)),
    "stale known_hosts": (Verdict.TRUSTED, NEW, (OLD,)),
    "known_hosts": (Verdict.TRUSTED, None, (OLD, NEW)),
    "known_hosts, other": (Verdict.CHANGED, None, (OLD,)),
}


@pytest.mark.parametrize(("verdict", "pinned", "known"), JUDGED.values(), ids=JUDGED.keys())
def test_judgement(verdict: Verdict, pinned: str | None, known: tuple[str, ...]) -> None:
    assert verdict == judge(NEW, pinned=pinned, known=Known(known))


async def test_a_pinned_key_is_fine(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}, pinned={N: machine.host_key}, accept_new=False).connect(N)
    assert connection.host_key == machine.host_key


async def test_a_changed_key_is_refused_before_any_credentials(
    machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    other = public(make_key(tmp_path / "other"))
    before = machine.log()
    with pytest.raises(TransportError, match="has changed") as caught:
        await transport({"n": machine}, pinned={N: other}).connect(N)
    assert not isinstance(caught.value, HostKeyUnknown)
    assert not caught.value.unreachable
    assert fingerprint(other) in caught.value.what
    assert fingerprint(machine.host_key) in caught.value.what
    assert "remove `ssh_host_key` of n" in caught.value.hint
    grown = machine.log().removeprefix(before)
    assert grown.count("Connection from") == 1  # not tried again
    assert "Accepted publickey" not in grown


async def test_first_contact_is_asked_about(machine: Sshd, transport: TransportMaker) -> None:
    before = machine.log()
    with pytest.raises(HostKeyUnknown) as caught:
        await transport({"n": machine}, accept_new=False).connect(N)
    assert (N, machine.host_key) == (caught.value.node, caught.value.host_key)
    assert fingerprint(machine.host_key) == caught.value.fingerprint
    assert "publickey" not in machine.log().removeprefix(before)


async def test_first_contact_is_accepted_when_told_so(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}, accept_new=True).connect(N)
    assert machine.host_key == connection.host_key


async def test_what_was_accepted_once_is_expected_again(
    start: ServerMaker,
) -> None:
    first, second = start("first"), start("second")
    targets = {N: SshTarget("127.0.0.1", first.port)}
    async with SshTransport(targets, pinned={}, accept_new=True, identity=first.key) as one:
        await one.connect(N)
        targets[N] = SshTarget("127.0.0.1", second.port)  # another machine answers now
        with pytest.raises(TransportError, match="has changed"):
            await one.connect(N)


@pytest.mark.parametrize("accept_new", [False, True])
async def test_known_hosts_vouches(
    accept_new: bool, machine: Sshd, transport: TransportMaker, operator_home: Path
) -> None:
    known = f"garbage line\n[127.0.0.1]:{machine.port} {machine.host_key}\n"
    (operator_home / ".ssh/known_hosts").write_text(known)
    connection = await transport({"n": machine}, accept_new=accept_new).connect(N)
    assert machine.host_key == connection.host_key


async def test_known_hosts_speaks_against_it(
    machine: Sshd, transport: TransportMaker, operator_home: Path, tmp_path: Path
) -> None:
    other = public(make_key(tmp_path / "other"))
    (operator_home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{machine.port} {other}\n")
    with pytest.raises(TransportError, match="has changed") as caught:
        await transport({"n": machine}, accept_new=True).connect(N)
    assert f"ssh-keygen -R '[127.0.0.1]:{machine.port}'" in caught.value.hint


async def test_known_hosts_revokes(machine: Sshd, transport: TransportMaker, operator_home: Path) -> None:
    (operator_home / ".ssh/known_hosts").write_text(f"@revoked * {machine.host_key}\n")
    with pytest.raises(TransportError, match="is marked @revoked in known_hosts"):
        await transport({"n": machine}, pinned={N: machine.host_key}).connect(N)


async def test_a_host_certificate_of_a_known_authority_is_fine(
    start: ServerMaker, transport: TransportMaker, operator_home: Path, tmp_path: Path
) -> None:
    authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "host")
    certificate = sign_host_key(authority, key, principal="127.0.0.1")
    server = start(host_keys=[key], extra=(f"HostCertificate {certificate}",))
    (operator_home / ".ssh/known_hosts").write_text(f"@cert-authority * {public(authority)}\n")
    connection = await transport({"n": server}, accept_new=False).connect(N)
    assert connection.host_key == public(key)


async def test_a_host_certificate_for_another_name_is_not(
    start: ServerMaker, transport: TransportMaker, operator_home: Path, tmp_path: Path
) -> None:
    authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "host")
    certificate = sign_host_key(authority, key, principal="elsewhere")
    server = start(host_keys=[key], extra=(f"HostCertificate {certificate}",))
    (operator_home / ".ssh/known_hosts").write_text(f"@cert-authority * {public(authority)}\n")
    with pytest.raises(TransportError, match=r"the host certificate .* is not to be trusted"):
        await transport({"n": server}).connect(N)


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "ecdsa"])
async def test_the_pinned_type_is_asked_for_first(
    kind: str, start: ServerMaker, transport: TransportMaker, tmp_path: Path
) -> None:
    keys = {
        one: make_key(tmp_path / one, one, bits=2048 if one == "rsa" else None)
        for one in ("rsa", "ed25519", "ecdsa")
    }
    server = start(host_keys=list(keys.values()))
    pinned = public(keys[kind])
    connection = await transport({"n": server}, pinned={N: pinned}, accept_new=False).connect(N)
    assert pinned == connection.host_key


async def test_a_server_without_the_pinned_type_has_changed(
    machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    pinned = public(make_key(tmp_path / "rsa", "rsa", bits=2048))
    with pytest.raises(TransportError, match=r"has changed.*\(ssh-rsa\).*\(ssh-ed25519\)"):
        await transport({"n": machine}, pinned={N: pinned}).connect(N)
