"""All checks of an installation, in the order in which they are told: what the settings choose is what is looked at."""

from __future__ import annotations

from collections.abc import Sequence

from push_service.config import Settings
from push_service.doctor.address import Certificate, PublicUrl, TrustedProxies
from push_service.doctor.check import Check
from push_service.doctor.firebase import FirebaseCredentials, firebase_checks
from push_service.doctor.machine import OpenFiles, PasswordCost, StoreClock, UnreadSettings
from push_service.doctor.places import DataDirectory, EncryptionKey, ours
from push_service.doctor.records import Records, records_of
from push_service.doctor.sqlite import SqliteDurable, SqliteSchema, SqliteSpace, SqliteWritable
from push_service.doctor.telephony import telephony_checks


def checks(settings: Settings) -> Sequence[Check]:
    """The checks for these settings."""
    if not ours(settings):
        return (UnreadSettings(), DataDirectory(settings))
    records = records_of(settings)
    return (
        UnreadSettings(),
        DataDirectory(settings),
        EncryptionKey(settings, records),
        *_store(settings, records),
        *_bus(settings),
        PublicUrl(settings, records),
        Certificate(settings),
        TrustedProxies(settings),
        FirebaseCredentials(settings),
        *firebase_checks(settings),
        *telephony_checks(settings),
        PasswordCost(settings),
        OpenFiles(records),
    )


def _store(settings: Settings, records: Records) -> Sequence[Check]:
    """Those of the store that DATABASE_URL names."""
    if settings.on_postgres:
        from push_service.doctor import postgres  # noqa: PLC0415 - not loaded with the embedded store

        return (
            postgres.PostgresReachable(settings),
            postgres.PostgresSchema(settings),
            postgres.PostgresWritable(settings),
            postgres.PostgresDurable(settings),
            postgres.PostgresConnections(settings),
            postgres.PostgresSpace(settings),
            postgres.PostgresClock(settings),
        )
    return (
        SqliteSchema(settings),
        SqliteWritable(settings),
        SqliteDurable(settings),
        SqliteSpace(settings),
        StoreClock(records),
    )


def _bus(settings: Settings) -> Sequence[Check]:
    """Those of the bus that BUS_URL names."""
    if settings.bus_url == "local:":
        from push_service.doctor.bus import LocalBusFits  # noqa: PLC0415

        return (LocalBusFits(settings),)
    from push_service.doctor import redis  # noqa: PLC0415 - not loaded where there is none

    return (
        redis.RedisReachable(settings),
        redis.RedisHeard(settings),
        redis.RedisSlots(settings),
        redis.RedisConnections(settings),
    )
