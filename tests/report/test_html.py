import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.evidence import WHEN, gather
from tests.report.graph_fleets import fleet, large, net, node, site, small
from tests.report.test_coverage import HOLDS
from tests.report.test_coverage import coverage as coverage_of_fleet
from wireloom.errors import UserError
from wireloom.observe.state import Unreachable
from wireloom.report.coverage import WORDS
from wireloom.report.heard import sum_up_traffic
from wireloom.report.html import make_legible, print_html, write_html
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, Evidence, PacketSeen, Traffic, TrafficClass, Verdict

ODD = "</script><script>alert(1)</script><!--<b onload='x'>&\"'`\\ \x00\x1b[31m\ud800\u202e\u2028]]>{{ 7*7 }}"
SEEN_ODD = make_legible(ODD)


class Page(HTMLParser):
    """The elements of a page, and the text in each kind of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.comments: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "input", "use", "rect", "path", "circle"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((tuple(self.open), data))

    def handle_comment(self, data):
        self.comments.append(data)

    def inside(self, tag):
        """The text of every element of that kind."""
        return [text for within, text in self.texts if within and within[-1] == tag]

    def readable(self):
        """What is there to read where no script runs, as it is read."""
        told = (text for within, text in self.texts if not {"script", "style", "head"} & set(within))
        return " ".join("".join(told).split())

    @property
    def ledger(self):
        (text,) = [text for text in self.inside("script") if text.startswith("{")]
        return json.loads(text)


def write(one, evidence, **more):
    return print_html(net(one), one.sites, evidence, **{"when": WHEN, **more})


def falsify(kind, source, target, why="seen otherwise"):
    """Only this one claim is otherwise than it should be."""
    return lambda *claim: (Verdict.FALSIFIED, why) if claim == (kind, source, target) else None


def test_the_verdict_comes_first_with_counts_and_time():
    evidence = gather(net(small()), falsify("answers", "cp1", "db1"))
    told = Page(write(small(), evidence)).readable()
    total = len(evidence.claims)
    assert f"shop: falsified 1 claim of {total} is contradicted by what was seen." in told
    assert told.index("falsified") < told.rindex("What does not hold") < told.rindex("What was tested")
    assert f"1 falsified 0 unknown {total - 1} hold" in told
    assert "2026-05-02 12:00:00 UTC" in told


def test_what_was_left_out_is_told():
    evidence = replace(gather(net(small())), pairs=12)
    told = Page(write(small(), evidence, left_out=("No packets: `--quick`.",))).readable()
    assert "A sample: 12 of 30 pairs, every node among them." in told
    assert "No packets: --quick." in told
    assert "Not tested: clear, that nothing between the machines is in clear." in told
    assert "Not tested: answers" not in told


def test_without_captured_packets_the_page_does_not_pass_for_a_proof():
    evidence = gather(net(small()))
    pings = replace(evidence, claims=tuple(one for one in evidence.claims if one.claim == "answers"))
    warning = "That it is encrypted was not tested."
    assert f"All 30 claims hold, each on evidence. {warning}" in Page(write(small(), pings)).readable()
    assert warning not in Page(write(small(), evidence)).readable()


def test_where_flannel_makes_the_tunnels_no_underlay_is_missed():
    one = small()
    claims = (Claim("pod-canary", NodeName("cp1"), NodeName("w1"), Verdict.HOLDS, "seen inside"),)
    page = print_html(replace(net(one), under=False), one.sites, Evidence(claims, 0, 0), when=WHEN)
    told = Page(page).readable()
    assert "Podswg0, 10.99.0.0/16" in told
    assert "That it is encrypted was not tested." not in told
    assert "Not tested: pod-way, that" in told
    for untrue in ("Underlay", "Pairs tested", "over the underlay"):
        assert untrue not in told


def test_nothing_tested_is_told_as_that():
    told = Page(write(small(), Evidence((), 0, 30))).readable()
    assert "Nothing was tested, so nothing is known." in told


def test_what_does_not_hold_is_there_without_a_script():
    def wrong(kind, source, target):
        if kind == "canary" and (source, target) == ("db1", "w1"):
            return Verdict.FALSIFIED, "the UDP marker left eth0 in clear"
        return (Verdict.UNKNOWN, "cut short") if (kind, source) == ("handshake", "db2") else None

    silent = (Unreachable(NodeName("nas1"), "no answer within 10 s", "is it up?"),)
    told = Page(write(small(), gather(net(small()), wrong, silent))).readable()
    assert "db1 → to w1 the UDP marker left eth0 in clear" in told
    assert "eth0 out UDP" in told
    assert "176 bytes" in told
    assert "db2 → to cp1, w1, db1, nas1, nas2 cut short" in told
    silenced = sum(one.source == "nas1" for one in gather(net(small())).claims)
    assert f"nas1 no answer within 10 s is it up? {silenced} claims unknown for that." in told
    assert "nas1 → to" not in told
    assert "3 of 3 answered" not in told


def test_every_claim_is_in_the_ledger():
    evidence = gather(net(small()), falsify("canary", "cp1", "db1", "in  clear: at  last "))
    assert sorted(map(repr, read_ledger(Page(write(small(), evidence)).ledger))) == sorted(
        repr(
            (
                one.claim,
                one.source,
                one.target,
                one.verdict.value,
                one.detail,
                [shown(p) for p in one.packets],
            )
        )
        for one in evidence.claims
    )


def shown(packet):
    return (packet.node, packet.device, packet.outgoing, packet.what, packet.length)


def read_ledger(ledger):
    """Claims again, as the script in the page reads them."""

    def say(place):
        return " ".join(ledger["words"][word] for word in ledger["texts"][place])

    for kind in ledger["kinds"]:
        for source, target, verdict, text, *more in kind["claims"]:
            packets = [
                (ledger["nodes"][node], say(device), bool(outgoing), say(what), length)
                for _, node, device, outgoing, what, length in (more[0] if more else [])
            ]
            yield (
                kind["name"],
                ledger["nodes"][source],
                ledger["nodes"][target] if target >= 0 else None,
                ("falsified", "unknown", "holds")[verdict],
                say(text),
                packets,
            )


def test_what_a_machine_said_stays_text():
    """The page with odd names and answers has exactly the elements of one with plain ones."""

    def odd_page(text):
        name, packet = NodeName(text), PacketSeen(5.0, NodeName(text), text, True, text, 7)
        one = fleet(
            text, [site(text)], [node(text, text, public="192.0.2.1"), node("b", text, public="192.0.2.2")]
        )
        claims = (
            Claim("canary", name, NodeName("b"), Verdict.FALSIFIED, text, (packet,)),
            Claim("canary", NodeName("b"), name, Verdict.HOLDS, text, (packet,)),
        )
        evidence = Evidence(claims, 2, 2, (Unreachable(NodeName("b"), text, text),))
        written = write(one, evidence, left_out=(text,))
        assert not [letter for letter in written if not letter.isprintable() and letter != "\n"]
        return Page(written)

    odd, plain = odd_page(ODD), odd_page("plain")
    assert [tag for tag, _ in odd.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in odd.tags] == [sorted(names) for _, names in plain.tags]
    assert odd.comments == []
    assert len(odd.inside("script")) == 2
    assert sum(SEEN_ODD in text for _, text in odd.texts) >= 10
    assert {SEEN_ODD} == {detail for *_, detail, _ in read_ledger(odd.ledger)}


def test_nothing_is_fetched():
    text = write(small(), gather(net(small())))
    assert set(re.findall(r"""\w+=["']https?:[^"']*["']""", text)) == {
        'xmlns="http://www.w3.org/2000/svg"',
        "xmlns='http://www.w3.org/2000/svg'",
    }
    assert set(re.findall(r"https?:[^\"']*", text)) == {"http://www.w3.org/2000/svg"}
    attributes = [(name, value) for _, found in Page(text).tags for name, value in found.items()]
    links = [value for name, value in attributes if name in {"src", "href", "action", "srcset", "data"}]
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert not {name for name, _ in attributes if name == "style" or name.startswith("on")}
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)


def test_the_policy_allows_the_scripts_and_styles_of_the_page_alone():
    page = Page(write(small(), gather(net(small()), falsify("answers", "cp1", "w1"))))
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = {rule.split()[0]: set(rule.split()[1:]) for rule in policy.split("; ")}
    (script,) = [text for text in page.inside("script") if not text.startswith("{")]
    assert rules == {
        "default-src": {"'none'"},
        "script-src": {hash_of(script)},
        "style-src": {hash_of(style) for style in page.inside("style")},
        "img-src": {"data:"},
        "base-uri": {"'none'"},
        "form-action": {"'none'"},
    }


def hash_of(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def fifty():
    one = large(3, 17, nat_sites=1)
    one.nodes.popitem()
    return one


def test_fifty_nodes_make_less_than_a_megabyte():
    network = net(fifty())

    def wrong(kind, source, target):
        return (Verdict.FALSIFIED, "0 of 3 answered") if "dc1-node-004" in (source, target) else None

    evidence = gather(network, wrong)
    assert evidence.pairs == 2450
    assert len(evidence.claims) > 6 * 2000
    assert len(write(fifty(), evidence).encode()) < 1_000_000


def test_a_fleet_in_ruins_makes_less_than_a_megabyte():
    evidence = gather(net(fifty()), lambda *_: (Verdict.FALSIFIED, "no answer"))
    assert len(write(fifty(), evidence).encode()) < 1_000_000


def test_packets_of_what_does_not_hold_come_first_where_there_is_no_room_for_all():
    packet = PacketSeen(5.0, NodeName("cp1"), "eth0", True, "UDP", 100)
    pairs = [(NodeName(a), NodeName(b)) for a in small().nodes for b in small().nodes if a != b]
    claims = tuple(
        Claim("canary", *pair, Verdict.UNKNOWN if pair[0] == "cp1" else Verdict.HOLDS, "", (packet,) * 1000)
        for pair in pairs
    )
    (kind,) = Page(write(small(), Evidence(claims, 30, 30))).ledger["kinds"]
    kept = {(verdict, len(packets), left) for _, _, verdict, _, packets, left in kind["claims"]}
    assert kept == {(1, 1000, 0), (2, 200, 800)}


def test_more_troubles_than_anybody_reads_are_counted():
    evidence = gather(net(fifty()), lambda *claim: (Verdict.FALSIFIED, " ".join(map(str, claim))))
    told = Page(write(fifty(), evidence)).readable()
    assert told.count("2,050 more claims that do not hold: in the list of every claim") >= 3


def test_the_same_evidence_gives_the_same_bytes():
    assert write(small(), gather(net(small()))) == write(small(), gather(net(small())))


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1e300, 1e300])
def test_a_time_that_is_none_is_no_bug(at):
    packet = PacketSeen(at, NodeName("cp1"), "eth0", True, "UDP", 100)
    claim = Claim("clear", NodeName("cp1"), None, Verdict.FALSIFIED, "in clear", (packet,))
    assert "? cp1 eth0 out UDP 100 bytes" in Page(write(small(), Evidence((claim,), 0, 30))).readable()


COVERAGE = coverage_of_fleet(proof=HOLDS)


def test_coverage_is_a_table_with_what_was_proven_its_notes_and_sources():
    text = write(small(), gather(net(small())), coverage=COVERAGE)
    told = Page(text).readable()
    for row in COVERAGE.rows:
        assert f"{row.traffic.called} {WORDS[row.cells[0].cover]}" in told
    assert re.search(r"node ↔ node[^.]* holds 2026-", told)
    assert "only if k3s' node-ip is the underlay address" in told
    links = [found["href"] for tag, found in Page(text).tags if tag == "a" and found["href"][0] != "#"]
    assert links == [one.url for one in COVERAGE.sources if one.url.startswith("https://")]
    assert "Coverage" not in Page(write(small(), gather(net(small())))).readable()


def test_every_way_to_run_wireguard_can_be_a_column():
    every = coverage_of_fleet(every_column=True)
    told = Page(write(small(), gather(net(small())), coverage=every)).readable()
    assert all(column.title in told for column in every.columns)


def traffic(kind, *, source="cp1", target="w1", packets=1, port="tcp/80", **more):
    return Traffic(
        NodeName(source), NodeName(target), kind, NodeName(source), packets, packets * 100, {port}, **more
    )


def test_what_an_audit_heard_is_summed_up_by_class_in_clear_first():
    heard = sum_up_traffic(
        [
            traffic(TrafficClass.SSH, packets=900, port="tcp/22"),
            traffic(TrafficClass.VXLAN, packets=3, port="udp/8472", inner={"10.42.0.3"}),
            traffic(TrafficClass.SSH, source="db1", port="tcp/22", processes={"sshd"}),
            *(traffic(TrafficClass.OTHER, port=f"tcp/80{number:02}") for number in range(20)),
        ]
    )
    assert [(one.kind, one.packets, one.bytes, one.pairs) for one in heard] == [
        (TrafficClass.OTHER, 20, 2000, 1),
        (TrafficClass.VXLAN, 3, 300, 1),
        (TrafficClass.SSH, 901, 90_100, 2),
    ]
    assert (heard[0].ports[0], heard[0].ports[-1], len(heard[0].ports)) == ("tcp/8000", "…", 9)
    assert (heard[1].inner, heard[2].processes) == (("10.42.0.3",), ("sshd",))


def test_what_was_heard_is_a_table_if_anybody_listened():
    evidence = gather(net(small()))
    listened = replace(evidence, traffic=(traffic(TrafficClass.VXLAN, inner={ODD}, processes={ODD}),))
    told = Page(write(small(), listened)).readable()
    shown = " ".join(SEEN_ODD.split())
    assert f"VXLAN in clear inside: {shown} yes 1 100 1 tcp/80 {shown}" in told
    assert "audit listened: nothing." in Page(write(small(), replace(evidence, traffic=()))).readable()
    assert "Beside the tunnel" not in Page(write(small(), evidence)).readable()


def test_a_page_that_can_not_be_written_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(UserError, match="can't be written"):
        write_html(tmp_path / "nowhere" / "page.html", "text")


def test_the_page_is_written_for_others_to_read(tmp_path: Path):
    write_html(tmp_path / "page.html", "täxt")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "täxt"
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o644
