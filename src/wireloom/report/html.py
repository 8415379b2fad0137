"""What ``verify`` found as one HTML file that stands by itself: it fetches nothing, and needs no script."""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import ascii_lowercase

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from wireloom import __version__
from wireloom.advise.coverage import Coverage
from wireloom.disk import put_file
from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.intent.fleet import Site
from wireloom.network.network import Network
from wireloom.observe.state import Unreachable
from wireloom.report.coverage import WORDS
from wireloom.report.heard import sum_up_traffic
from wireloom.report.layout import lay_out
from wireloom.report.ledger import time_of_day, write_ledger
from wireloom.report.links import judge_links
from wireloom.report.prose import number
from wireloom.report.svg import print_svg
from wireloom.report.svg_style import svg_style
from wireloom.report.tally import Tally, tally
from wireloom.report.trouble import Trouble, gather_troubles
from wireloom.report.tunnels import compose
from wireloom.values import SiteName
from wireloom.verify.claim import KINDS, Evidence, Kind

MOST_TROUBLES = 400
"""Of one kind that stand in the page without a script: of a fleet in ruins nobody reads more."""


@dataclass(frozen=True, slots=True)
class _KindResult:
    """What became of one kind of claim; ``untold`` claims that do not hold are in the ledger alone."""

    name: str
    kind: Kind
    tally: Tally
    troubles: tuple[Trouble, ...]
    untold: int


def print_html(
    network: Network,
    site_details: Mapping[SiteName, Site],
    evidence: Evidence,
    *,
    when: str,
    left_out: tuple[str, ...] = (),
    coverage: Coverage | None = None,
) -> str:
    """Evidence → the text of the page; the same evidence gives the same text.

    ``when`` is the time of the run in ISO 8601. ``left_out`` are sentences on what this run was told not to
    test; that pairs or kinds of claims were not tested is told without. No name or answer of a machine
    becomes markup or script, and the page's own policy forbids it to fetch or to send anything.
    """
    style, script = _read("page.css"), _read("page.js")
    picture = compose(network, site_details)
    links = judge_links(picture, evidence)
    page = _environment().get_template("page.html")
    return page.render(
        style=Markup(style),  # noqa: S704  # our own files
        script=Markup(script),  # noqa: S704
        policy=_write_policy(script, [style, svg_style(judged=True)]),
        drawing=Markup(print_svg(lay_out(picture), links)),  # noqa: S704  # escapes what is in it
        ledger=write_ledger(evidence, network.members, make_legible),
        links=links,
        network=network,
        evidence=evidence,
        tally=tally(claim.verdict for claim in evidence.claims),
        kinds=_sum_up(evidence),
        silent=_count_silent(evidence),
        heard=None if evidence.traffic is None else sum_up_traffic(evidence.traffic),
        when=when,
        moment=datetime.fromisoformat(when),
        left_out=(*left_out, *_tell_left_out(evidence, under=network.under)),
        captured=any(claim.claim in {"canary", "pod-canary"} for claim in evidence.claims),
        coverage=coverage,
        note_marks=dict(zip(coverage.notes, ascii_lowercase, strict=False)) if coverage else {},
        version=__version__,
    )


def write_html(path: Path, text: str) -> None:
    """Put the page there whole or not at all. Raises UserError."""
    try:
        put_file(path, text.encode(), mode=0o644)
    except OSError as error:
        raise UserError.one(f"can't be written: {error.strerror}", where=str(path)) from None


def _read(name: str) -> str:
    return files("wireloom.report").joinpath("page", name).read_text(encoding="utf-8")


def _environment() -> Environment:
    """Every value is made legible and escaped, whatever the template says."""
    environment = Environment(
        loader=PackageLoader("wireloom.report", "page"),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    environment.globals |= {"cover_words": WORDS, "number": number}
    environment.filters["count"] = count
    environment.filters["prose"] = _mark_code
    environment.filters["time_of_day"] = time_of_day
    return environment


def _finalize(value: object) -> object:
    """Any text that a template puts in is made legible; what is markup already came from us."""
    return make_legible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _mark_code(text: str) -> Markup:
    """What stands between backticks, as code; any other text is left as it is."""
    pieces = [escape(piece) for piece in make_legible(text).split("`")]
    if len(pieces) % 2 == 0:
        return escape(make_legible(text))
    marked = (Markup("<code>{}</code>").format(one) if place % 2 else one for place, one in enumerate(pieces))
    return Markup("").join(marked)


def make_legible(text: str) -> str:
    """Text without what turns its direction, moves a cursor or can't be encoded: U+FFFD stands for it."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _write_policy(script: str, styles: list[str]) -> str:
    """The Content-Security-Policy: nothing is fetched or sent, only our own script and styles are used."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _sum_up(evidence: Evidence) -> list[_KindResult]:
    """The kinds of claims that were tested, as they are told."""
    unasked = {one.name for one in evidence.unasked}
    results = []
    for name, kind in KINDS.items():
        claims = [claim for claim in evidence.claims if claim.claim == name]
        if claims:
            troubles = tuple(gather_troubles(claims, unasked))
            told, untold = troubles[:MOST_TROUBLES], sum(one.claims for one in troubles[MOST_TROUBLES:])
            results.append(_KindResult(name, kind, tally(one.verdict for one in claims), told, untold))
    return results


def _count_silent(evidence: Evidence) -> list[tuple[Unreachable, int]]:
    """The nodes that could not be asked, each with the number of claims that are unknown for that."""
    claims = Counter(claim.source for claim in evidence.claims)
    return [(one, claims[one.name]) for one in evidence.unasked]


def _tell_left_out(evidence: Evidence, *, under: bool) -> list[str]:
    """What a reader could take for tested and was not. ``under``: there is an underlay to be tested."""
    told = []
    if evidence.sampled:
        told.append(f"A sample: {evidence.pairs:,} of {evidence.all_pairs:,} pairs, every node among them.")
    tested = {claim.claim for claim in evidence.claims}
    cluster = any(KINDS[name].cluster for name in tested)
    told += [
        f"Not tested: `{name}`, that {kind.claimed}."
        for name, kind in KINDS.items()
        if name not in tested and (cluster if kind.cluster else under)
    ]
    return told
