"""What a release of k3s must be, asked for where it is published."""

import http.client
import urllib.error
import urllib.request

from wireloom.cluster.release import ASSETS, Release
from wireloom.errors import UserError

CHECKSUMS_TIMEOUT = 30.0
MOST_CHECKSUMS = 1024 * 1024
"""Bytes of a list of digests, which has a dozen lines."""


def fetch_digest(release: Release) -> str:
    """What a release must be, from the list beside it. Raises UserError."""
    url = release.checksums_url
    hint = f"without a way there: --k3s-binary FILE, from any copy of {release.url}"
    try:
        with urllib.request.urlopen(url, timeout=CHECKSUMS_TIMEOUT) as answer:  # noqa: S310  # http(s), by `check`
            text = answer.read(MOST_CHECKSUMS).decode("ascii", errors="replace")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            what = (
                f"there is no k3s {release.version} for {ASSETS[release.architecture][0]}: {url} is not there"
            )
            raise UserError.one(what, hint="github.com/k3s-io/k3s/releases names the versions") from None
        raise UserError.one(f"{url}: {error}", hint=hint) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", "") or str(reason).strip() or type(error).__name__
        raise UserError.one(f"{url} can't be fetched: {why}", hint=hint) from None
    try:
        return release.find_digest(text)
    except ValueError as error:
        raise UserError.one(f"{url} is not a list of digests: {error}", hint=hint) from None
