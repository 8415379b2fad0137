"""What a server of k3s gives its administrator: made anew, so that no key is kept."""

import base64
import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

KEY = base64.b64encode(b"-----BEGIN EC PRIVATE KEY----- not one").decode()


def k3s_yaml(authority: str = "QVVUSE9SSVRZ", key: str = KEY) -> str:
    """``/etc/rancher/k3s/k3s.yaml`` as k3s v1.34 writes it."""
    return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
users:
- name: default
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: {key}
"""


def certificate(*names: str) -> str:
    """A certificate for addresses and hosts, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "k3s")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = []
    for one in names:
        try:
            alternatives.append(x509.IPAddress(ip_address(one)))
        except ValueError:
            alternatives.append(x509.DNSName(one))
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def fetched(script: str, *, access: str, pem: str = "", fleet: str = "") -> str:
    """What a server prints for a ``fetch_script``."""
    nonce = next(line for line in script.splitlines() if line.startswith("section() ")).split()[4]
    fleet = f"fleet {fleet}\n" if fleet else ""
    return f"\n{nonce} fleet\n{fleet}\n{nonce} access\n{access}\n{nonce} certificate\n{pem}\n{nonce} end\n"
