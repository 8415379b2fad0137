"""How a drawing looks: colours for light and dark, and the marks that stand in it again and again.

Plain properties, not CSS variables: converters such as rsvg-convert and Inkscape don't know those.
The colours of lines are green, blue and vermilion of Okabe and Ito's set for all kinds of colour vision
(jfly.uni-koeln.de/color), darkened or lightened to a contrast of 4.5:1 on the paper; each has a dash
pattern of its own besides.
"""

_SANS = "system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,Liberation Mono,monospace"

_SHAPES = f"""
.wireloom text{{font-family:{_SANS}}}
.wireloom .fleet{{font-size:22px;font-weight:700}}
.wireloom .key{{font-size:10px;font-weight:600;letter-spacing:.06em}}
.wireloom .name{{font-size:15px;font-weight:700}}
.wireloom .place,.wireloom .legend{{font-size:12px}}
.wireloom .fact,.wireloom .host,.wireloom .small{{font-family:{_MONO}}}
.wireloom .fact{{font-size:13px}}
.wireloom .host{{font-size:13px;font-weight:600}}
.wireloom .small{{font-size:11px}}
.wireloom .host.tight{{font-size:11px}}
.wireloom .small.tight{{font-size:10px}}
.wl-badge{{font:700 10px {_SANS};text-anchor:middle}}
.wl-ring{{fill:none;stroke-width:1.3}}
.wireloom .end{{text-anchor:end}}
.wireloom .nat{{stroke-dasharray:7 4}}
.wireloom .line{{fill:none;stroke-opacity:.8}}
.wireloom .tunnel{{stroke-width:1.4}}
.wireloom .sample{{stroke-width:2}}
.wireloom .line:hover{{stroke-opacity:1;stroke-width:5}}
.wireloom .private{{stroke-dasharray:.1 4;stroke-linecap:round}}
.wireloom .tunnel.private{{stroke-width:1.8}}
.wireloom .one-way{{stroke-dasharray:7 4}}
.wireloom .bundle.one-way{{stroke-dasharray:14 6}}"""

# What stands in marks is styled by its class alone: the copy that <use> makes has no ancestors.
_COLOURS = (
    # selector, property, on light paper, on dark paper
    (".wireloom .paper", "fill", "#ffffff", "#0d1117"),
    (".wireloom text", "fill", "#1b2733", "#e6edf3"),
    (".wireloom .soft", "fill", "#566573", "#9aa7b5"),
    (".wireloom .internet", "fill", "#eef3f8", "#141b25"),
    (".wireloom .spine", "fill", "#9fb3c6", "#4a5b6d"),
    (".wireloom .site", "fill", "#f6f8fa", "#161b22"),
    (".wireloom .site", "stroke", "#b4c0cc", "#465362"),
    (".wireloom .card", "fill", "#ffffff", "#0d1117"),
    (".wireloom .card", "stroke", "#d3dbe3", "#30363d"),
    (".wireloom .port", "fill", "#566573", "#9aa7b5"),
    (".wireloom .port", "stroke", "#ffffff", "#0d1117"),
    (".wireloom .private", "stroke", "#00795a", "#3fd0a0"),
    (".wireloom .public", "stroke", "#0072b2", "#5eb8f2"),
    (".wireloom .one-way", "stroke", "#b84300", "#f0a04b"),
    (".wl-tip", "fill", "#b84300", "#f0a04b"),
    (".wl-cloud", "fill", "#9fb3c6", "#4a5b6d"),
    (".wl-full", "fill", "#3b4a5a", "#c3ced9"),
    (".wl-ring", "stroke", "#3b4a5a", "#c3ced9"),
    (".wireloom .wl-on-full,.wl-on-full", "fill", "#ffffff", "#0d1117"),
    (".wireloom .wl-on-ring,.wl-on-ring", "fill", "#3b4a5a", "#c3ced9"),
)

_JUDGED_SHAPES = """
.judged .falsified{stroke-width:3;stroke-opacity:1}
.judged .unknown{stroke-width:2.4;stroke-opacity:1}
.judged .untested{stroke-opacity:.6}
.wireloom .badge-count{font-size:12px;font-weight:700;paint-order:stroke;stroke-width:4;stroke-linejoin:round}
.wl-cross{fill:none;stroke-width:2.2;stroke-linecap:round}
.wl-falsified,.wl-unknown{stroke-width:1.5}"""

# Where the state of links is shown, colour tells it: how the ends reach each other is left to the dashes.
_JUDGED_COLOURS = (
    (".judged .sample", "stroke", "#566573", "#9aa7b5"),
    (".judged .wl-tip", "fill", "#3b4a5a", "#c3ced9"),
    (".judged .holds", "stroke", "#00795a", "#3fd0a0"),
    (".judged .falsified", "stroke", "#c0261c", "#ff8078"),
    (".judged .unknown", "stroke", "#8a5a00", "#e3b341"),
    (".judged .untested", "stroke", "#8b98a5", "#6b7886"),
    (".wl-falsified", "fill", "#c0261c", "#ff8078"),
    (".wl-unknown", "fill", "#8a5a00", "#e3b341"),
    (".wl-falsified,.wl-unknown,.wl-cross", "stroke", "#ffffff", "#0d1117"),
    (".wireloom .badge-count", "stroke", "#ffffff", "#0d1117"),
)


def svg_style(*, judged: bool) -> str:
    """The style sheet; ``judged``: with the states of links."""
    colours = _COLOURS + (_JUDGED_COLOURS if judged else ())
    light = "\n".join(f"{where}{{{what}:{light}}}" for where, what, light, _ in colours)
    dark = "\n".join(f"{where}{{{what}:{dark}}}" for where, what, _, dark in colours)
    shapes = _SHAPES + (_JUDGED_SHAPES if judged else "")
    return f"{shapes}\n{light}\n@media (prefers-color-scheme:dark){{\n{dark}\n}}\n"


MARKS = """<defs>
<marker id="wireloom-arrow" markerUnits="userSpaceOnUse" \
markerWidth="10" markerHeight="8" refX="2.5" refY="4" \
orient="auto"><path class="wl-tip" d="M0 0L10 4L0 8L2.5 4z"/></marker>
<marker id="wireloom-big-arrow" markerUnits="userSpaceOnUse" \
markerWidth="15" markerHeight="14" refX="2" refY="7" \
orient="auto"><path class="wl-tip" d="M0 0L15 7L0 14L2 7z"/></marker>
<g id="wireloom-server"><rect class="wl-full" width="14" height="14" rx="3"/>\
<text class="wl-badge wl-on-full" x="7" y="10.7">S</text></g>
<g id="wireloom-agent"><circle class="wl-ring" cx="7" cy="7" r="6.5"/>\
<text class="wl-badge wl-on-ring" x="7" y="10.6">A</text></g>
<g id="wireloom-other"><path class="wl-ring" d="M7 1.3L12.7 7L7 12.7L1.3 7z"/></g>
<g id="wireloom-more"><path class="wl-ring" d="M0 3h14M0 7h14M0 11h14"/></g>
<g id="wireloom-nat"><rect class="wl-tip" width="34" height="16" rx="8"/>\
<text class="wl-badge wl-on-full" x="17" y="11.7">NAT</text></g>
<path id="wireloom-cloud" class="wl-cloud" d="M12 20a8 8 0 0 1-1-16a11 11 0 0 1 20-1a8.5 8.5 0 0 1 11 17z"/>
</defs>"""

JUDGED_MARKS = """<defs>
<g id="wireloom-falsified"><circle class="wl-falsified" r="8.5"/>\
<path class="wl-cross" d="M-3-3L3 3M3-3L-3 3"/></g>
<g id="wireloom-unknown"><path class="wl-unknown" d="M0-10L10 0L0 10L-10 0z"/>\
<text class="wl-badge wl-on-full" y="3.7">?</text></g>
</defs>"""
