"""The page in a real browser: it works, says nothing on the console, and fits where it is looked at."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.report.browser import Browser, find_obstacle
from tests.report.evidence import WHEN, gather
from tests.report.graph_fleets import large, net, small
from tests.report.test_html import COVERAGE, ODD, SEEN_ODD, traffic
from wireloom.observe.state import Unreachable
from wireloom.report.html import print_html
from wireloom.values import NodeName
from wireloom.verify.claim import TrafficClass, Verdict

pytestmark = pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle())

LEAK = "the UDP marker left eth0 in clear"


def wrong(kind, source, target):
    if (kind, source, target) == ("canary", "db1", "w1"):
        return Verdict.FALSIFIED, LEAK
    if (kind, target) == ("handshake", "db2"):
        return Verdict.UNKNOWN, "the answer was cut short"
    return (Verdict.UNKNOWN, ODD) if (kind, source) == ("peers", "cp1") else None


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet with a leak, with what could not be tested, and with an answer that would be markup."""
    silent = (Unreachable(NodeName("nas2"), "no answer", ODD),)
    heard = (traffic(TrafficClass.VXLAN, inner={ODD}), traffic(TrafficClass.SSH))
    evidence = replace(gather(net(small()), wrong, silent), traffic=heard)
    text = print_html(net(small()), small().sites, evidence, when=WHEN, left_out=(ODD,), coverage=COVERAGE)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(running: Browser, page: Path) -> Browser:
    running.show()
    running.open(page)
    return running


def search(browser, words):
    """Type into the field, as a reader does, and wait until the list has followed."""
    browser.run("document.getElementById('search').focus()")
    before = matches(browser)
    browser.call("Input.insertText", text=words)
    browser.run(
        "new Promise((done) => { const look = () => document.getElementById('matches').textContent"
        f" === {before!r} ? setTimeout(look, 20) : done(); look(); }})"
    )


def choose(browser, field, label):
    """Choose in a list by what it says."""
    browser.run(
        f"(() => {{ const list = document.getElementById('{field}');"
        f" list.value = [...list.options].find((one) => one.text === '{label}').value;"
        " list.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )


def matches(browser):
    return browser.run("document.getElementById('matches').textContent")


def rows(browser):
    return browser.run("[...document.querySelectorAll('.rows > li')].map((row) => row.innerText)")


def test_nothing_is_complained_of_or_fetched(browser):
    assert browser.complaints() == []
    assert set(browser.requests()) <= {"file", "data"}
    assert browser.requests().count("file") == 1


def test_a_search_finds_words_and_counts(browser):
    total = int(matches(browser).removesuffix(" claims").replace(",", ""))
    assert rows(browser) == []
    search(browser, "canary DB1 clear")
    found = rows(browser)
    assert matches(browser) == f"{len(found)} of {total} claims match"
    assert len(found) == 10
    assert "falsified" in found[0]
    assert LEAK in found[0]
    assert all("db1" in row for row in found)


def test_a_search_for_what_is_nowhere_finds_nothing_and_clear_brings_all_back(browser):
    all_of_it = matches(browser)
    search(browser, "nowhere-at-all")
    assert matches(browser).startswith("0 of ")
    assert browser.run("[...document.querySelectorAll('#kinds .kind')].every((kind) => kind.hidden)")
    browser.run("document.querySelector('button[type=reset]').click()")
    browser.run("new Promise((done) => setTimeout(done, 50))")
    assert matches(browser) == all_of_it


def test_filters_narrow_the_list(browser):
    choose(browser, "by-verdict", "unknown")
    choose(browser, "by-kind", "handshake")
    assert {row.split()[0] for row in rows(browser)} == {"unknown"}
    assert len(rows(browser)) == 9  # five saw db2, nas2 none of five; of them is nas2 to db2
    choose(browser, "by-node", "cp1")
    assert [" ".join(row.split()) for row in rows(browser)] == [
        "unknown cp1 → to db2 the answer was cut short",
        "unknown nas2 → to cp1 no answer",
    ]


def test_a_claim_unfolds_to_its_evidence(browser):
    choose(browser, "by-verdict", "falsified")
    browser.run("document.querySelector('.rows summary').click()")
    browser.run("new Promise((done) => setTimeout(done, 50))")
    (row,) = rows(browser)
    assert "captured on every interface of both machines" in row
    assert row.count("eth0 out") == 2
    assert "176 bytes" in row


def test_rows_are_made_when_a_kind_is_unfolded_and_not_before(browser):
    assert browser.run("document.querySelectorAll('.rows > li').length") == 0
    browser.run("document.querySelector('#kinds summary').click()")
    browser.run("new Promise((done) => setTimeout(done, 50))")
    assert browser.run("document.querySelectorAll('.rows > li').length") == 30


def test_a_long_list_comes_in_pieces(running, tmp_path):
    (tmp_path / "page.html").write_text(
        print_html(net(large(3, 5)), large(3, 5).sites, gather(net(large(3, 5))), when=WHEN), encoding="utf-8"
    )
    running.show()
    running.open(tmp_path / "page.html")
    search(running, "answers every")
    assert len(rows(running)) == 100
    running.run("document.querySelector('.more:not([hidden])').focus()")
    assert running.run("document.activeElement.textContent") == "Show 100 more of 110"
    running.press("Enter", "\r")
    running.press("Tab")
    assert running.run(
        "document.activeElement.closest('li') === document.querySelectorAll('.rows > li')[101]"
    )
    running.run("document.querySelector('.more:not([hidden])').click()")
    assert len(rows(running)) == 210
    assert running.run("document.querySelector('.more:not([hidden])')") is None


def test_what_a_machine_said_is_shown_as_it_was(browser):
    seen = " ".join(SEEN_ODD.split())
    shown = browser.run("document.getElementById('content').innerText")
    assert " ".join(shown.split()).count(seen) >= 3
    choose(browser, "by-kind", "peers")
    assert any(seen in " ".join(row.split()) for row in rows(browser))
    assert browser.complaints() == []


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser):
    reached = []
    for _ in range(40):
        browser.press("Tab")
        reached.append(
            browser.run(
                "(() => { const at = document.activeElement, style = getComputedStyle(at);"
                " return [at.id || at.className || at.localName, at.textContent.slice(0, 30),"
                " style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]; })()"
            )
        )
        if reached[-1][0] == "body":
            break
    names = [name for name, _, _ in reached]
    assert [one for one in reached if not one[2] and one[0] != "body"] == []
    assert names[0] == "skip"
    assert {"drawing", "wide", "search", "by-verdict", "by-kind", "by-node", "button"} <= set(names)
    assert names.count("summary") >= 4 + 7


def test_the_keyboard_unfolds(browser):
    choose(browser, "by-verdict", "falsified")
    browser.run("document.querySelector('.rows summary').focus()")
    browser.press("Enter", "\r")
    assert browser.run("document.querySelector('.rows details').open")


@pytest.mark.parametrize(
    ("directive", "attempt"),
    [
        ("connect-src", "fetch('https://192.0.2.1/').catch(() => 0)"),
        ("img-src", "new Image().src = 'https://192.0.2.1/'"),
        (
            "script-src-elem",
            "document.body.append(Object.assign(document.createElement('script'), {text: 0}))",
        ),
        ("script-src-attr", "document.body.setAttribute('onclick', '0')"),
        ("style-src-attr", "document.body.setAttribute('style', 'color: red')"),
    ],
)
def test_the_policy_stops(browser, directive, attempt):
    said = "addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective))"
    late = "setTimeout(() => done('nothing'), 5000)"
    assert browser.run(f"new Promise((done) => {{ {said}; {late}; {attempt}; }})") == directive


CONTRAST = """
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const weak = [];
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("svg, script, noscript") || !element.checkVisibility()) continue;
    const both = [light(parse(getComputedStyle(element).color)), light(paper(element))];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) weak.push(`${element.className} ${ratio} ${element.textContent.slice(0, 40)}`);
  }
  return weak;
})()
"""


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_every_text_stands_out_from_its_ground(browser, scheme, dark):
    browser.show(scheme=scheme)
    choose(browser, "by-kind", "canary")
    assert browser.run(CONTRAST) == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(13, 17, 23)") is dark
    assert browser.run("getComputedStyle(document.querySelector('.wireloom .paper')).fill") == paper


def test_a_phone_needs_no_sideways_scrolling(browser):
    browser.show(width=360, height=780)
    choose(browser, "by-verdict", "falsified")
    browser.run("for (const fold of document.querySelectorAll('details')) fold.open = true")
    browser.run("new Promise((done) => setTimeout(done, 50))")
    assert browser.run("document.querySelectorAll('.packets').length") == 2
    assert browser.run("document.documentElement.scrollWidth") == 360


def test_what_does_not_hold_is_printed_also_where_it_was_folded(browser):
    browser.run("for (const fold of document.querySelectorAll('#trouble details')) fold.open = false")
    paper = base64.b64decode(browser.call("Page.printToPDF")["data"])
    assert paper.startswith(b"%PDF")
    assert browser.run("[...document.querySelectorAll('#trouble details')].every((fold) => fold.open)")


def test_paper_has_no_controls_and_no_folded_lists(browser):
    browser.show(media="print", scheme="light")
    shown = "[...document.querySelectorAll('{}')].some((one) => one.checkVisibility())"
    assert browser.run(shown.format("#trouble .seen"))
    assert not browser.run(shown.format("nav, form, button, #kinds .kind"))


def test_without_scripts_all_that_does_not_hold_is_there(running, page):
    running.show()
    running.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        running.open(page)
        told = running.run("document.body.innerText")
        assert not running.run("document.getElementById('browser').checkVisibility()")
    finally:
        running.call("Emulation.setScriptExecutionDisabled", value=False)
    assert LEAK in told
    assert "scripts are off here" in told


def test_a_screen_reader_finds_its_way(browser):
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    for landmark in ("banner", "navigation", "main", "search", "contentinfo", "region", "status"):
        assert landmark in roles, landmark
    levels = browser.run("[...document.querySelectorAll('h1, h2, h3, h4')].map((one) => +one.localName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    fields = [node for node in nodes if node.get("role", {}).get("value") in {"searchbox", "combobox"}]
    assert [node["name"]["value"] for node in fields] == ["Search", "Verdict", "Kind", "Node"]
    assert browser.run("document.getElementById('matches').getAttribute('aria-live')") == "polite"
