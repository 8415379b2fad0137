"""What the machines say of keys, ways and sizes → claims. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from wireloom.cluster.seen import Member
from wireloom.grammar import count
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, Verdict, conclude
from wireloom.verify.cluster.intended import (
    BRIDGE,
    VXLAN_OVERHEAD,
    WIREGUARD,
    WIREGUARD_OVERHEAD,
    Intended,
)
from wireloom.verify.cluster.reading import Reading, Way, pod_address

Look = tuple[Verdict, str]

NOT_TOLD = "it did not tell"


def judge_layers(
    intended: Intended,
    members: Mapping[NodeName, Member],
    readings: Mapping[NodeName, Reading],
    pairs: Mapping[NodeName, Sequence[NodeName]],
) -> Iterator[Claim]:
    """The claims about keys, ways and sizes; none where flannel is not the cluster's network plugin."""
    if intended.backend is None:
        return
    for name, others in pairs.items():
        reading = readings.get(name)
        if intended.backend == "wireguard-native":
            verdict, detail = _look_at_keys(name, members, reading)
            yield Claim("flannel-keys", name, None, verdict, detail)
        for other in others:
            verdict, detail = _look_at_way(intended, other, members[other], reading)
            yield Claim("pod-way", name, other, verdict, detail)
        verdict, detail = _look_at_sizes(intended, reading)
        yield Claim("pod-mtu", name, None, verdict, detail)


def _look_at_keys(name: NodeName, members: Mapping[NodeName, Member], reading: Reading | None) -> Look:
    """Its own key is the one that it published, and its peers are those of all others and nobody else's."""
    if reading is None:
        return Verdict.UNKNOWN, NOT_TOLD
    published = members[name].flannel_key
    if not reading.keys:
        return Verdict.FALSIFIED, f"no {WIREGUARD[0]} that has a key"
    if published is None:
        return Verdict.FALSIFIED, "flannel has published no key for it"
    for device, key in reading.keys.items():
        if key != published:
            return Verdict.FALSIFIED, f"published is {published}, and {device} has {key}"
    others = {member.flannel_key: other for other, member in members.items() if other != name}
    missing = [other for key, other in others.items() if key not in reading.endpoints]
    if missing:
        return Verdict.FALSIFIED, f"no peer with the published key of {', '.join(missing)}"
    strangers = [str(key) for key in reading.endpoints if key not in others]
    if strangers:
        return Verdict.FALSIFIED, f"a peer whose key nobody published: {', '.join(strangers)}"
    return Verdict.HOLDS, f"{published}, and {count(len(others), 'peer')} by their published keys"


def _look_at_way(intended: Intended, name: NodeName, other: Member, reading: Reading | None) -> Look:
    """How a machine would send to another and its pods."""
    if reading is None:
        return Verdict.UNKNOWN, NOT_TOLD
    if not other.pods:
        return Verdict.UNKNOWN, "the cluster tells no pod range of it"
    looks = [_look_at_pod_way(intended, name, other, reading, place) for place in range(len(other.pods))]
    looks += [_look_at_node_way(intended, reading.ways.get(address)) for address in other.internal]
    verdict = conclude(one for one, _ in looks)
    return verdict, "; ".join(dict.fromkeys(detail for one, detail in looks if one is verdict))


def _look_at_pod_way(intended: Intended, name: NodeName, other: Member, reading: Reading, place: int) -> Look:
    way = reading.ways.get(pod_address(other.pods[place]))
    if way is None:
        return Verdict.UNKNOWN, NOT_TOLD
    device = way.device
    if not device:
        return Verdict.FALSIFIED, f"no way to its pods ({other.pods[place]})"
    if device not in intended.pod_devices:
        return Verdict.FALSIFIED, f"to its pods by {device}, not by {' or '.join(intended.pod_devices)}"
    if intended.backend == "vxlan":
        return _look_at_remote(intended, reading, way)
    if intended.backend == "wireguard-native":
        return _look_at_endpoint(intended, name, other, reading, device)
    return Verdict.HOLDS, f"to its pods by {device}"


def _look_at_remote(intended: Intended, reading: Reading, way: Way) -> Look:
    """A VXLAN device sends by the way to the remote address, whatever device it was made on."""
    remote = reading.remotes.get(way.via) if way.via else None
    below = reading.ways.get(remote) if remote else None
    if remote is None or below is None:
        return Verdict.UNKNOWN, f"where {way.device} sends it is not told"
    if not below.device:
        return Verdict.FALSIFIED, f"{way.device} sends to {remote}, and there is no way to that"
    if intended.underlay and below.device != intended.underlay:
        return (
            Verdict.FALSIFIED,
            f"{way.device} sends to {remote} by {below.device}, beside {intended.underlay}",
        )
    return Verdict.HOLDS, f"to its pods by {way.device} over {below.device}"


def _look_at_endpoint(
    intended: Intended, name: NodeName, other: Member, reading: Reading, device: str
) -> Look:
    endpoint = reading.endpoints.get(other.flannel_key) if other.flannel_key else None
    if endpoint is None:
        return Verdict.UNKNOWN, f"where {device} finds it is not told"
    wanted = intended.addresses[name]
    if wanted and endpoint.address not in wanted:
        return Verdict.FALSIFIED, f"{device} sends to {endpoint}, beside {intended.underlay}"
    over = f" over {intended.underlay}" if wanted else ""
    return Verdict.HOLDS, f"to its pods by {device}{over}, at {endpoint}"


def _look_at_node_way(intended: Intended, way: Way | None) -> Look:
    if way is None:
        return Verdict.UNKNOWN, NOT_TOLD
    if not way.device:
        return Verdict.FALSIFIED, "no way to the machine itself"
    if intended.underlay and way.device != intended.underlay:
        return Verdict.FALSIFIED, f"to the machine itself by {way.device}, not by {intended.underlay}"
    return Verdict.HOLDS, f"to the machine itself by {way.device}"


def _look_at_sizes(intended: Intended, reading: Reading | None) -> Look:
    """Whether each layer leaves room for the one above: what does not fit is cut in pieces, or lost."""
    if reading is None:
        return Verdict.UNKNOWN, NOT_TOLD
    mtu = {name: device.mtu for name, device in reading.devices.items()}
    carriers = [name for name in intended.pod_devices if name in mtu]
    if not carriers:
        return Verdict.UNKNOWN, f"no {intended.pod_devices[0]} there"
    # Not by the bridge's own: without a pod that is always 1500.
    pods = max((one.mtu for one in reading.devices.values() if one.bridge == BRIDGE), default=0)
    told = []
    for name in carriers:
        told.append(f"{name} {mtu[name]}")
        if pods > mtu[name]:
            return Verdict.FALSIFIED, f"pods send up to {pods} bytes, and {name} takes {mtu[name]}"
        lower, overhead = _below(intended, reading, name)
        if lower not in mtu:
            continue
        if mtu[name] + overhead > mtu[lower]:
            detail = f"{name} takes {mtu[name]} bytes, {lower} has room for {mtu[lower] - overhead} of them"
            return Verdict.FALSIFIED, f"{detail}: restart k3s there once the MTU of {lower} is right"
        told.append(f"{lower} {mtu[lower]}")
    return Verdict.HOLDS, (f"pods {pods}, " if pods else "") + ", ".join(dict.fromkeys(told))


def _below(intended: Intended, reading: Reading, name: str) -> tuple[str, int]:
    """The device below one that carries pods' packets, and how many bytes it adds; "" where not known."""
    device = reading.devices[name]
    if intended.backend == "vxlan":
        return intended.underlay or device.lower, VXLAN_OVERHEAD[device.local.version if device.local else 4]
    if intended.backend == "wireguard-native" and intended.underlay:
        versions = {one.address.version for one in reading.endpoints.values() if one}
        return intended.underlay, WIREGUARD_OVERHEAD[max(versions, default=4)]
    return "", 0
