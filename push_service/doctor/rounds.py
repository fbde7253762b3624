"""All checks of an installation, in the order in which they are told: what the settings choose is what is looked at."""

from __future__ import annotations

from collections.abc import Sequence

from push_service.config import Settings
from push_service.doctor.address import Certificate, PublicUrl, TrustedProxies
from push_service.doctor.bus import LocalBusFits
from push_service.doctor.check import Check
from push_service.doctor.firebase import FirebaseCredentials
from push_service.doctor.machine import OpenFiles, PasswordCost, StoreClock, UnreadSettings
from push_service.doctor.places import DataDirectory, EncryptionKey, ours
from push_service.doctor.sqlite import SqliteDurable, SqliteSchema, SqliteSpace, SqliteWritable


def checks(settings: Settings) -> Sequence[Check]:
    """The checks for these settings."""
    if not ours(settings):
        return (UnreadSettings(), DataDirectory(settings))
    return (
        UnreadSettings(),
        DataDirectory(settings),
        EncryptionKey(settings),
        *_store(settings),
        *_bus(settings),
        PublicUrl(settings),
        Certificate(settings),
        TrustedProxies(settings),
        FirebaseCredentials(settings),
        PasswordCost(settings),
        OpenFiles(settings),
    )


def _store(settings: Settings) -> Sequence[Check]:
    """Those of the store that DATABASE_URL names."""
    return (
        SqliteSchema(settings),
        SqliteWritable(settings),
        SqliteDurable(settings),
        SqliteSpace(settings),
        StoreClock(settings),
    )


def _bus(settings: Settings) -> Sequence[Check]:
    """Those of the bus that BUS_URL names."""
    return (LocalBusFits(settings),)
