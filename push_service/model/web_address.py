"""The web addresses that an operator registers: origins, redirect URIs, the service's own public address.

They are compared as exact text later (RFC 9700, 4.1.3), so they are accepted in one spelling only: the one that a
browser itself would write (RFC 6454, 6.2). Plain http is for loopback names, where there is no network to listen on
(RFC 8252, 7.3). Called by the settings and by the administrator's use cases.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;=%")
"""What a URI is made of (RFC 3986, 2): everything else would have to be percent-encoded."""
MAX_LENGTH = 2048


def origin(text: str) -> str:
    """The text, if it is an origin: `https://host[:port]`, or http for a loopback name. Raises ValueError."""
    parts = _split(text)
    spelled = _spelled(parts)
    if text != spelled:
        raise ValueError(f"an address with nothing after the host and port is needed, written as {spelled}")
    return text


def redirect_uri(text: str) -> str:
    """The text, if people may be sent there: absolute, https (or http loopback), no fragment. Raises ValueError."""
    parts = _split(text)
    if "#" in text:
        raise ValueError("a redirect URI has no fragment (#...)")
    spelled = _spelled(parts)
    if not text.startswith(f"{spelled}/"):
        raise ValueError(f"a redirect URI begins with scheme, host and path, here {spelled}/")
    if any(segment in {".", ".."} for segment in parts.path.lower().replace("%2e", ".").split("/")):
        raise ValueError("a redirect URI has no dot segments (/../)")
    return text


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine: `localhost`, `*.localhost` (RFC 6761, 6.3), 127.0.0.0/8 or ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult:
    if not text or len(text) > MAX_LENGTH or not set(text) <= _UNRESERVED:
        raise ValueError("an address is needed, of printable ASCII characters without spaces")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"no address can be read from this: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0:
        raise ValueError("an absolute address is needed, such as https://login.example.org")
    if "@" in parts.netloc:
        raise ValueError("an address must not carry a user name or a password")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(
            "plain http is only for loopback names (localhost, *.localhost, 127.0.0.0/8, [::1]); use https"
        )
    return parts


def _spelled(parts: SplitResult) -> str:
    """Scheme, host and port as a browser writes them: lower case, without the scheme's own port."""
    host = parts.hostname or ""
    bracketed = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{bracketed}{port}"
