"""How the service is deployed in a story: on which store and bus, and in how many processes."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path

from .fleet import Fleet
from .postgres import PostgresServer
from .redis import RedisServer
from .service import Service

Deploy = Callable[..., Service]
"""A service with its data in a folder and these settings, not started yet: `deploy(folder, POLICY__CONFIRM="tap")`."""


class Deployment(Enum):
    """Store, bus, and number of processes."""

    EMBEDDED = "sqlite", 1
    POSTGRES = "postgres", 1
    FLEET = "postgres", 3

    def __str__(self) -> str:
        return f"{self.value[0]}-{self.processes}"

    @property
    def processes(self) -> int:
        """How many serve."""
        return self.value[1]


EVERY = tuple(Deployment)


def between(deployment: Deployment, postgres: PostgresServer, redis: RedisServer) -> Deploy:
    """Services whose processes have PostgreSQL and Redis between them, each with a database of its own."""

    def deploy(folder: Path, **settings: str) -> Service:
        shared = {
            "DATABASE_URL": postgres.url(postgres.create(postgres.migrated)),
            "POSTGRES__CONNECTIONS": "4",
            "BUS_URL": redis.url,
        }
        return Fleet(folder, deployment.processes, **shared, **settings)

    return deploy
