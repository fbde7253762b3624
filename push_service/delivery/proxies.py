"""The proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY), as programs on this machine read it.

Asked for here once: the HTTP client's own way of reading the environment looks for a password file, too, in a thread,
at every single request.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """The proxy's address; None where the way is direct."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
