"""Fetch an administrator's access from a server of k3s, and what its certificate may be asked for."""

import shlex
from dataclasses import dataclass

from wireloom.cluster.kubeconfig import Access, read_access
from wireloom.cluster.places import DATA, KUBECONFIG, STATE
from wireloom.observe.probes import PATH, split_sections
from wireloom.observe.shell import read_functions
from wireloom.transport.port import Completed, TransportError
from wireloom.values import API_PORT, NodeName

SHELL = read_functions("wireloom.cluster", "kubeconfig.sh")

TIMEOUT = 40.0
"""Seconds; the longest is a question to an API that hangs, ended after 20."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server gave. ``names``: the hosts that its certificate is for; None where it did not show it."""

    server: NodeName
    access: Access
    names: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class NotFetched:
    """Why a server gave nothing."""

    server: NodeName
    what: str
    hint: str = ""


def fetch_script(nonce: str) -> str:
    """The script for a server. What it prints holds a private key: it is for ``read_fetched`` only."""
    return "\n".join(
        [
            f"PATH={PATH} kubeconfig={KUBECONFIG} data={DATA} state={STATE} port={API_PORT}",
            "newline='\n'",
            f"section() {{ echo; echo {shlex.quote(nonce)} $1; }}",
            SHELL,
            "section fleet; show_access || exit 1; section end",
            "",
        ]
    )


def read_fetched(
    server: NodeName, fleet: str, answer: Completed | TransportError, nonce: str
) -> Fetched | NotFetched:
    """A server's answer, read. One that has another fleet's cluster gives nothing."""
    if isinstance(answer, TransportError):
        return NotFetched(server, answer.what, answer.hint)
    if answer.status != 0:
        what = answer.stderr.strip()[-300:] or f"exit status {answer.status}"
        return NotFetched(server, what, "how it stands: wireloom k3s status")
    try:
        sections = split_sections(answer.stdout, nonce)
        access = read_access(sections["access"])
    except (ValueError, LookupError) as error:
        return NotFetched(server, f"its {KUBECONFIG} makes no sense: {error}")
    other = sections["fleet"].strip().removeprefix("fleet ")
    if other and other != fleet:
        return NotFetched(server, f"its k3s is the fleet `{other}`'s")
    return Fetched(server, access, read_names(sections["certificate"]))


def read_names(pem: str) -> frozenset[str] | None:
    """The addresses and DNS names of a certificate (RFC 5280, 4.2.1.6); None for what is none."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return None
    found = [name.value for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]
    return frozenset(str(one).lower() for one in found)
