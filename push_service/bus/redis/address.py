"""What PUSH_SERVICE_BUS_URL says: where the servers are, how to speak with them, and whether they are a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection

_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """One server, and how one enters there."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        """`host:port`, without what opens it: this is what logs and probes show."""
        return f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> Address:
        """Another server that is entered in the same way."""
        return replace(self, host=host, port=port)

    def connection(self) -> Connection:
        """A connection to be opened: RESP3, so that commands and subscriptions share it; without retries of its own.

        Its timeouts are the link's: a deadline around opening and writing, a heartbeat instead of one for reading.
        """
        kind = SSLConnection if self.tls else Connection
        return kind(
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            protocol=3,
            client_name="push-service",
            socket_timeout=None,
            socket_connect_timeout=None,
            socket_keepalive=True,
        )


@dataclass(frozen=True, slots=True)
class Addresses:
    """The servers that BUS_URL names. A cluster tells of its others; a server alone is the first."""

    cluster: bool
    seeds: tuple[Address, ...]


def parse(url: str) -> Addresses:
    """Read `redis[s][+cluster]://[user:password@]host[:port][,host[:port]…]`. Raises ValueError, saying why."""
    parts = urlsplit(url)
    tls, cluster = parts.scheme.startswith("rediss"), parts.scheme.endswith("+cluster")
    if parts.scheme not in {"redis", "rediss", "redis+cluster", "rediss+cluster"}:
        raise ValueError("must be local:, redis://HOST:PORT, rediss://HOST:PORT or redis+cluster://HOST:PORT,HOST:PORT")
    if parts.path.strip("/0") or parts.query or parts.fragment:
        raise ValueError("takes nothing behind host and port: bells know no database numbers")
    credentials, at, hosts = parts.netloc.rpartition("@")
    username, colon, password = credentials.partition(":")
    if at and not colon:
        raise ValueError("credentials are written USER:PASSWORD@, or :PASSWORD@ without a user")
    seeds = tuple(
        Address(
            host=host,
            port=port,
            username=unquote(username) or None,
            password=unquote(password) or None,
            tls=tls,
        )
        for host, port in map(_place, hosts.split(","))
    )
    if len(seeds) > 1 and not cluster:
        raise ValueError("several servers are named only of a cluster: redis+cluster://")
    return Addresses(cluster, seeds)


def _place(text: str) -> tuple[str, int]:
    one = urlsplit(f"//{text}")
    if not one.hostname:
        raise ValueError("names no host")
    try:
        return one.hostname, one.port or _PORT
    except ValueError:
        # Not from it: its message repeats what stands there, which is a password where the host was forgotten.
        raise ValueError("the port must be a number") from None
