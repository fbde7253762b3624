"""The public address: whether it leads here, over a certificate that lasts, and who is believed about addresses."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import ssl
import time
from urllib.parse import urlsplit

import aiohttp
import msgspec

from push_service.config import Settings
from push_service.doctor.check import Check, Finding, fault, ok, warning
from push_service.doctor.records import Records

SECONDS = 5.0
_LASTS_DAYS = 14
_SKEW_SECONDS = 30
"""Device proofs are good for 60 seconds: half of that for the phone's own clock."""


class _Key(msgspec.Struct):
    kid: str


class _Keys(msgspec.Struct):
    keys: list[_Key]


class PublicUrl(Check):
    """Whether PUBLIC_URL is set, and answers with this installation's keys and time."""

    name = "address.public_url"

    def __init__(self, settings: Settings, records: Records) -> None:
        """Ask at PUBLIC_URL, if it can be reached from here."""
        self._settings, self._records = settings, records

    async def run(self) -> Finding:
        """See Check."""
        url = self._settings.public_url
        if url is None:
            told = "PUSH_SERVICE_PUBLIC_URL is not set: phones and browsers are told an address of this machine alone."
            return warning(self, told, "Set it to what people see, such as https://login.example.org.")
        try:
            keys, skew = await _ask(url)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as problem:
            return self._not_answered(url, problem)
        ours = {kid for (kid,) in await self._records.read("SELECT kid FROM signing_keys")}
        if ours and not ours & keys:
            told = f"{url} is answered by another installation: its keys are not those of this store."
            return fault(self, told, "Mend PUBLIC_URL, the proxy, or the store that is named.")
        if abs(skew) > _SKEW_SECONDS:
            told = f"The clock at {url} is {skew:+.0f} seconds from this one."
            return fault(self, told, "Set the clocks right, and have them kept so (NTP).")
        return ok(self, f"{url} is answered by this installation.")

    def _not_answered(self, url: str, problem: Exception) -> Finding:
        match problem:
            case msgspec.DecodeError():
                return fault(self, f"{url} is answered by something else.", "Mend the proxy: all paths must come here.")
            case aiohttp.ClientConnectorCertificateError():
                told = f"{url} is not believed: {problem.certificate_error}."
                return fault(self, told, "Give the proxy a certificate that is valid for this name.")
            case _:
                told = f"{url} can't be reached from here: {str(problem) or type(problem).__name__}."
                return warning(self, told, "See that service and proxy are up; or it is only so from here.")


class Certificate(Check):
    """Whether the certificate of PUBLIC_URL lasts."""

    name = "address.certificate"

    def __init__(self, settings: Settings) -> None:
        """Look at the certificate, if there is one and it can be reached from here."""
        self._url = settings.public_url or ""

    async def run(self) -> Finding:
        """See Check."""
        parts = urlsplit(self._url)
        if parts.scheme != "https" or parts.hostname is None:
            return ok(self, "The public address is without TLS, which is only accepted for this very machine.")
        try:
            async with asyncio.timeout(SECONDS):
                days = await _days_left(parts.hostname, parts.port or 443)
        except ssl.SSLCertVerificationError as problem:
            told = f"The certificate of {self._url} is not valid: {problem.verify_message}."
            return fault(self, told, "Give the proxy a valid one.")
        except (TimeoutError, OSError) as problem:
            told = f"{self._url} can't be reached from here: {str(problem) or type(problem).__name__}."
            return warning(self, told, "Look at the certificate from where people are.")
        if days < _LASTS_DAYS:
            return warning(self, f"The certificate of {self._url} ends in {days:.0f} days.", "Renew it.")
        return ok(self, f"The certificate of {self._url} is good for {days:.0f} days.")


class TrustedProxies(Check):
    """Whether the proxy that TLS needs is believed about addresses, and nobody else is."""

    name = "address.proxies"

    def __init__(self, settings: Settings) -> None:
        """Look at TRUSTED_PROXIES."""
        self._settings = settings

    async def run(self) -> Finding:
        """See Check."""
        proxies, url = self._settings.trusted_proxies, self._settings.public_url or ""
        everybody = [str(each) for each in proxies if not each.prefixlen]
        if everybody:
            told = f"PUSH_SERVICE_TRUSTED_PROXIES has {everybody[0]}: anybody can pretend any address."
            return fault(self, told, "Name the proxies' own networks.")
        if url.startswith("https://") and not proxies:
            told = "People come through a proxy (it has the TLS), and none is listed: they all share its one address."
            return warning(self, told, "Set PUSH_SERVICE_TRUSTED_PROXIES to the proxy's address, such as 127.0.0.1/32.")
        if proxies and not url.startswith("https://") and _loopback(self._settings.listen.host):
            return ok(self, "Proxies are listed; the public address is this machine's own.")
        return ok(self, "Who is believed about addresses fits the public address.")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _ask(url: str) -> tuple[set[str], float]:
    """The ids of the keys published there, and by how many seconds its clock is ahead."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{url}/.well-known/jwks.json", allow_redirects=False) as answer,
    ):
        keys = msgspec.json.decode(await answer.read(), type=_Keys)
        dated = answer.headers.get("Date")
        skew = email.utils.parsedate_to_datetime(dated).timestamp() - time.time() if dated else 0.0
    return {each.kid for each in keys.keys}, skew


async def _days_left(host: str, port: int) -> float:
    _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    try:
        certificate = writer.get_extra_info("peercert")
    finally:
        writer.close()
    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400
