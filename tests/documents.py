"""What the documentation tells a user to run, read from the page itself: it and its test can't part."""

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def find_blocks(page: str, heading: str) -> list[str]:
    """The blocks of shell text below a heading of a page, up to the next heading of its rank."""
    _, _, rest = (DOCS / page).read_text().partition(f"\n## {heading}\n")
    assert rest, f"{page} has no heading {heading!r}"
    section, _, _ = rest.partition("\n## ")
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
