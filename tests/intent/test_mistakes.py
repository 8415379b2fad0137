# ruff: noqa: E501 - a row of a table stays a row
"""One mistake each: where it is told, and in which words."""

import pytest

from tests.intent.files import mistakes, nodes, whole

# name: (what stands in the whole file, what stands there now, place, what is told)
VALUES = {
    "fleet missing": ("fleet: shop\n", "", "1:1", "`fleet` is missing in the fleet file"),
    "fleet empty": ("fleet: shop", "fleet:", "1:7", "`fleet` is empty"),
    "fleet too long": ("fleet: shop", f"fleet: {'a' * 41}", "1:8", "is 41 characters long"),
    "fleet with a space": ("fleet: shop", "fleet: a b", "1:8", "`a b` is not a fleet's name"),
    "fleet ends in a hyphen": ("fleet: shop", "fleet: a-", "1:8", "`a-` is not a fleet's name"),
    "fleet with a line end": ("fleet: shop", 'fleet: "a\\n"', "1:8", "`a\\n` is not a fleet's name"),
    "fleet a mapping": ("fleet: shop", "fleet: {}", "1:8", "expected a fleet's name, got a mapping"),
    "lab null": ("lab: {}", "lab:", "2:5", "expected a mapping, got nothing"),
    "lab with a key": ("lab: {}", "lab: { a: b }", "2:8", "unknown key `a`"),
    "top-level typo": ("lab: {}", "labb: {}", "2:1", "unknown key `labb`: did you mean `lab`?"),
    "interface long": ("wg7", "wg78901234567890", "4:14", "is 16 characters long"),
    "interface dots": ("wg7", '".."', "4:14", "`..` is not an interface name"),
    "interface slash": ("wg7", "a/b", "4:14", "`a/b` is not an interface name"),
    "interface option": ("wg7", "-x", "4:14", "`-x` is not an interface name"),
    "interface lo": ("wg7", "lo", "4:14", "`lo` is the loopback interface"),
    "interface of flannel": ("wg7", "flannel-wg", "4:14", "`flannel-wg` is flannel's"),
    "port zero": ("51821", "0", "5:9", "0 is out of range"),
    "port negative": ("51821", "-1", "5:9", "-1 is out of range"),
    "port high": ("51821", "65536", "5:9", "65536 is out of range"),
    "port huge": ("51821", "9" * 5000, "5:9", "expected a port, got `999"),
    "port a word": ("51821", "wg", "5:9", "expected a port, got `wg`"),
    "port octal": ("51821", "051821", "5:9", "expected a port, got `051821`"),
    "port quoted": ("51821", "'51821'", "5:9", "expected a port, got `51821` in quotes"),
    "port of VXLAN": ("51821", "8472", "5:9", "port 8472 is the port of flannel's VXLAN"),
    "ipv4 host bits": ("10.99.0.0/16", "10.99.0.1/16", "6:9", "is an address in a range, not a range"),
    "ipv4 an address": ("10.99.0.0/16", "10.99.0.0", "6:9", "`10.99.0.0` is not a range"),
    "ipv4 netmask": ("10.99.0.0/16", "10.99.0.0/255.255.0.0", "6:9", "is not a range"),
    "ipv4 long prefix": ("10.99.0.0/16", "10.99.0.0/33", "6:9", "is not a range"),
    "ipv4 too small": ("10.99.0.0/16", "10.99.0.0/31", "6:9", "`10.99.0.0/31` is too small"),
    "ipv4 is IPv6": ("10.99.0.0/16", "fd42::/64", "6:9", "`fd42::/64` is not an IPv4 range"),
    "ipv4 everything": ("10.99.0.0/16", "0.0.0.0/0", "6:9", "`0.0.0.0/0` holds unspecified addresses"),
    "ipv4 loopback": ("10.99.0.0/16", "127.0.0.0/8", "6:9", "`127.0.0.0/8` holds loopback addresses"),
    "ipv4 multicast": ("10.99.0.0/16", "224.0.0.0/8", "6:9", "holds multicast addresses"),
    "ipv4 link-local": ("10.99.0.0/16", "169.254.0.0/16", "6:9", "holds link-local addresses"),
    "ipv6 too small": ("fd42:99::/64", "fd42:99::/127", "7:9", "`fd42:99::/127` is too small"),
    "ipv6 link-local": ("fd42:99::/64", "fe80::/64", "7:9", "holds link-local addresses"),
    "ipv6 is IPv4": ("ipv6: fd42:99::/64", "ipv6: 10.98.0.0/16", "7:9", "is not an IPv6 range"),
    "mtu a word": ("1400", "big", "8:8", "expected an MTU, got `big`"),
    "mtu low": ("1400", "575", "8:8", "575 is out of range"),
    "mtu high": ("1400", "9001", "8:8", "9001 is out of range"),
    "mtu too low for IPv6": ("1400", "1279", "8:8", "an MTU of 1279 is too small for IPv6"),
    "ipv6 is IPv4, mapped": ("fd42:99::/64", "::ffff:10.98.0.0/112", "7:9", "is an IPv4 range in IPv6 spelling"),
    "ipv6 around what is mapped": ("fd42:99::/64", "::ffff:0:0/95", "7:9", "is an address in a range"),
    "ipv6 holds what is mapped": ("fd42:99::/64", "::fffe:0:0/95", "7:9", "holds IPv4-mapped IPv6 addresses"),
    "a private range mapped": ("10.0.0.0/16, ", '"::ffff:10.0.0.0/112", ', "11:20", "is an IPv4 range in IPv6 spelling"),
    "preshared keys": ("preshared_keys: false", "preshared_keys: true", "9:19", "not supported yet"),
    "yes is no truth value": ("nat: true", "nat: yes", "12:18", "expected true or false, got `yes`"),
    "subnets": ("subnets: []", "subnets: [192.168.1.0/24]", "11:58", "subnets of a site are not supported yet"),
    "a bad subnet": ("subnets: []", "subnets: [x]", "11:59", "`x` is not a range"),
    "ranges not a list": ("subnets: []", "private: 10.1.0.0/16", "11:49", "duplicate key `private`"),
    "a site's name": ("office: {", "Office: {", "12:3", "`Office` is not a site's name"),
    "a site a word": ("office: { nat: true }", "office: x", "12:11", "expected a mapping, got `x`"),
    "sites a list": ("sites:\n", "sites: []\nsitez:\n", "10:8", "expected a mapping of names to sites, got a list"),
    "no site": ("site: fsn, ", "", "14:8", "`site` is missing in this node"),
    "unknown site": ("site: fsn,", "site: fsm,", "14:16", "`fsm` is not one of the sites: did you mean `fsn`?"),
    "a node's name": ("  w1: {", "  w_1: {", "15:3", "`w_1` is not a node's name"),
    "a long node's name": ("  w1: {", f"  {'w' * 64}: {{", "15:3", "is 64 characters long"),
    "role": ("[k3s-server]", "[k3s-srver]", "14:114", "`k3s-srver` is not a role: did you mean `k3s-server`?"),
    "two roles": ("[k3s-server]", "[k3s-server, k3s-agent]", "14:126", "is to be both a k3s server and an agent"),
    "role twice": ("[k3s-server]", "[k3s-server, k3s-server]", "14:126", "is in this list twice"),
    "devices": ("devices: {}", "devices: { a: { public_key: bad } }", "16:10", "devices are not supported yet"),
    "device without key": ("devices: {}", "devices: { a: {} }", "16:15", "`public_key` is missing in this device"),
    "distribution": ("distribution: k3s", "distribution: rke2", "17:29", "`rke2` is not a distribution"),
    "version": ("v1.34.2+k3s1", "v1.34.2", "17:43", "`v1.34.2` is not a k3s version"),
    "version not ASCII": ("v1.34.2+k3s1", "v1.34.٢+k3s1", "17:43", "is not a k3s version"),
    "cni": ("cni: flannel", "cni: calico", "17:62", "`calico` is not supported yet"),
    "a layer": ("encrypt: underlay", "encrypt: underlai", "17:80", "`underlai` is not a layer: did you mean `underlay`?"),
    "flannel's backend": ("encrypt: underlay", "flannel_backend: vxlam", "17:88", "`vxlam` is not a flannel backend: did you mean `vxlan`?"),
    "a backend that encrypts again": ("encrypt: underlay", "flannel_backend: wireguard-native", "17:88", "`wireguard-native` encrypts what the underlay encrypts already"),
    "a backend that does not encrypt": ("encrypt: underlay", "encrypt: cni, flannel_backend: vxlan", "17:102", "`vxlan` does not encrypt, and `encrypt: cni` wants flannel to"),
    "a backend of another plugin": ("cni: flannel", "cni: cilium, flannel_backend: vxlan", "17:87", "`vxlan` is a backend of flannel, and the network plugin is cilium"),
    "datastore by URL": ("encrypt: underlay", "datastore: 'postgres://x'", "17:82", "`postgres://x` is not a datastore"),
    "mirror with a user": ('"https://k3s.example/releases"', "https://u:secret@k3s.example/", "17:164", "this is not the URL of a mirror: there is a user in it"),
    "mirror by another scheme": ("https://k3s.example/releases", "ftp://k3s.example/releases", "17:164", "this is not the URL of a mirror"),
    "mirror with a query": ("https://k3s.example/releases", "https://k3s.example/?token=secret", "17:164", "this is not the URL of a mirror"),
    "mirror for a shell": ("https://k3s.example/releases", "https://k3s.example/$(reboot)", "17:164", "this is not the URL of a mirror"),
    "mirror without a host": ("https://k3s.example/releases", "https:///releases", "17:164", "this is not the URL of a mirror"),
    "protected by a word": ("protected: true", "protected: maybe", "17:207", "expected true or false, got `maybe`"),
    "pods not a list": ("pods: [10.44.0.0/16]", "pods: 10.44.0.0/16", "17:96", "expected a list of ranges, got"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "what"), VALUES.values(), ids=VALUES)
def test_a_wrong_value_is_told_where_it_is(old: str, new: str, where: str, what: str) -> None:
    found = [(one.where, one.what) for one in mistakes(whole(old, new))]
    assert any(place == f"fleet.yaml:{where}" and what in told for place, told in found), found


ADDRESSES = {
    "loopback": ("127.0.0.1", "`127.0.0.1` is a loopback address"),
    "loopback 6": ('"::1"', "`::1` is a loopback address"),
    "link-local": ("169.254.1.1", "is a link-local address"),
    "link-local 6": ("fe80::1", "is a link-local address"),
    "multicast": ("224.0.0.1", "is a multicast address"),
    "multicast 6": ("ff02::1", "is a multicast address"),
    "unspecified": ("0.0.0.0", "is an unspecified address"),
    "unspecified 6": ('"::"', "is an unspecified address"),
    "broadcast": ("255.255.255.255", "is a broadcast address"),
    "mapped": ('"::ffff:192.0.2.1"', "`::ffff:192.0.2.1` is an IPv4 address in IPv6 spelling"),
    "mapped, in hexadecimal": ('"::FFFF:c000:201"', "`::FFFF:c000:201` is an IPv4 address in IPv6 spelling"),
    "scoped": ('"fe80::1%eth0"', "`fe80::1%eth0` is bound to an interface"),
    "leading zero": ("192.0.2.010", "`192.0.2.010` is not an IP address"),
    "a name": ("host.example", "`host.example` is not an IP address"),
    "with a port": ("192.0.2.1:51820", "`192.0.2.1:51820` is not an IP address"),
    "a range": ("192.0.2.0/24", "`192.0.2.0/24` is a range"),
    "a number": ("3221225985", "`3221225985` is not an IP address"),
    "nothing": ("~", "expected an IP address, got nothing"),
    "a list": ("[192.0.2.1]", "expected an IP address, got a list"),
}


@pytest.mark.parametrize(("address", "what"), ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_no_machine_can_be_dialled_at(address: str, what: str) -> None:
    found = [(one.where, one.what) for one in mistakes(nodes(f"x: {{ site: a, public: [{address}] }}"))]
    assert len(found) == 1
    assert found[0][0] == "fleet.yaml:5:26"
    assert what in found[0][1]


HINTS = {
    "leading zero": ("[192.0.2.010]", "leading zeros mean octal"),
    "a name": ("[host.example]", "names are not looked up"),
    "with a port": ("[192.0.2.1:51820]", "the port is `underlay.port`"),
    "IPv4 in IPv6 spelling": ('["::ffff:192.0.2.1"]', "write 192.0.2.1"),
    "not a list": ("192.0.2.1", "write it in brackets: [192.0.2.1]"),
    "a mapping": ("{ a: b }", "write it in brackets: [ONE, TWO]"),
}


@pytest.mark.parametrize(("public", "hint"), HINTS.values(), ids=HINTS)
def test_a_hint_says_what_to_write(public: str, hint: str) -> None:
    [found] = mistakes(nodes(f"x: {{ site: a, public: {public} }}"))
    assert hint in found.hint


def test_a_mapped_range_is_told_as_it_should_be_written() -> None:
    [found, *_] = mistakes(whole("10.0.0.0/16, ", '"::ffff:10.0.0.0/112", '))
    assert found.hint == "write 10.0.0.0/16"


TARGETS = {
    "option as host": "-oProxyCommand=x",
    "option after the user": "root@-oProxyCommand=x",
    "option as user": "-lroot@h",
    "space": '"h x"',
    "command substitution": '"$(reboot)"',
    "backticks": '"`reboot`"',
    "semicolon": '"h;reboot"',
    "line end": '"h\\n"',
    "NUL": '"h\\0"',
    "percent token": '"%h"',
    "comma": '"h,j"',
    "slash": "a/b",
    "user with a dollar": "u$@h",
    "two users": "a@b@c",
    "no host": "root@",
    "no user": '"@h"',
    "no port": '"h:"',
    "port a word": "h:ssh",
    "port out of range": "h:70000",
    "port zero": "h:0",
    "URL": "ssh://root@h",
    "open bracket": '"[2001:db8::1"',
    "IPv4 in brackets": '"[192.0.2.1]:22"',
    "bad IPv6": "2001:db8:::1",
    "scoped": '"fe80::1%eth0"',
    "old spelling of an address": "192.0.513",
    "a number": "3221225985",
    "hexadecimal": "0xc0000201",
    "leading zero": "192.0.2.010",
    "unicode": "hôst",
    "empty": '""',
    "list": "[h]",
    "jump with an option": "{ host: h, jump: -oProxyCommand=x }",
    "jump with a space": "{ host: h, jump: a b }",
    "jump with a comma": "{ host: h, jump: 'a,b' }",
    "identity an option": "{ host: h, identity: -x }",
    "identity with a line end": '{ host: h, identity: "a\\nb" }',
    "identity empty": "{ host: h, identity: '' }",
    "sudo a word": "{ host: h, sudo: yes }",
    "no host in a mapping": "{ user: root }",
    "unknown key": "{ host: h, hots: h }",
}


@pytest.mark.parametrize("ssh", TARGETS.values(), ids=TARGETS)
def test_an_ssh_target_that_could_be_taken_for_something_else(ssh: str) -> None:
    found = mistakes(nodes(f"x: {{ site: a, public: [192.0.2.1], ssh: {ssh} }}"))
    assert len(found) == 1
    assert found[0].where.startswith("fleet.yaml:5:")
    assert found[0].hint or "got a list" in found[0].what


@pytest.mark.parametrize("key", ["user: a b", "jump: -x", "port: 0", "sudo: 1", "identity: ''", "host: h"])
def test_the_defaults_of_ssh_are_checked_like_a_nodes(key: str) -> None:
    [found] = mistakes(nodes("x: { site: a, public: [192.0.2.1] }") + f"ssh: {{ {key} }}\n")
    assert found.where.startswith("fleet.yaml:6:")
