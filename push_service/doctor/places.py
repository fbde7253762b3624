"""The data directory and the key: who may look in, and whether the key is this database's."""

from __future__ import annotations

import os
import pwd
import stat

from push_service.config import PREFIX, Settings
from push_service.crypto.sealing import SealBroken, Sealer, key_from_file
from push_service.doctor.check import Check, Finding, fault, ok, warning
from push_service.doctor.records import Records
from push_service.store.columns import SIGNING_KEY
from push_service.store.rows import Rows

_FOR_OTHERS = 0o077


class DataDirectory(Check):
    """Whether it is there, for its owner alone, and ours."""

    name = "data.directory"

    def __init__(self, settings: Settings) -> None:
        """Look at DATA_DIR."""
        self._path = settings.data_dir

    async def run(self) -> Finding:
        """See Check."""
        path = self._path
        if not path.is_dir():
            return warning(self, f"{path} is not there yet.", "The first start makes it; nothing has to be done.")
        found = path.stat()
        if stat.S_IMODE(found.st_mode) & _FOR_OTHERS:
            return fault(self, f"{path} can be entered or read by others.", f"chmod 700 {path}")
        us, owner = os.geteuid(), found.st_uid
        if us != owner:
            return fault(
                self, f"{path} belongs to {_user(owner)}, and this is {_user(us)}.", f"Run it as {_user(owner)}."
            )
        foreign = [each.name for each in path.iterdir() if each.stat().st_uid != owner]
        if foreign:
            told = f"In {path}, which belongs to {_user(owner)}, these belong to somebody else: {', '.join(foreign)}."
            return fault(self, told, f"chown -R {_user(owner)} {path}, and run every command as {_user(owner)}.")
        return ok(self, f"{path} belongs to {_user(owner)}, and nobody else can look in.")


def ours(settings: Settings) -> bool:
    """Whether what is there belongs to whom this runs as. If not, nothing is opened.

    Even reading would leave files beside the database that its owner can't use.
    """
    path = settings.data_dir
    return not path.is_dir() or path.stat().st_uid == os.geteuid()


class EncryptionKey(Check):
    """Whether the key can be read, by its owner alone, and opens what is stored."""

    name = "data.key"

    def __init__(self, settings: Settings, records: Records) -> None:
        """Look at the key that these settings name, and what is stored."""
        self._settings, self._records = settings, records

    async def run(self) -> Finding:
        """See Check."""
        settings, records = self._settings, self._records
        where = f"{PREFIX}ENCRYPTION_KEY" if settings.key else str(settings.key_file)
        if settings.key is None and not settings.key_file.exists():
            if await records.exist():
                told = f"{where} is missing, and there is a database already: a new key would open nothing in it."
                return fault(self, told, "Put the key of this database there, from where it is kept.")
            return warning(self, f"{where} is not there yet.", "The first start makes it; then keep a copy elsewhere.")
        try:
            sealer = Sealer(settings.key or key_from_file(settings.key_file))
        except (OSError, ValueError) as problem:
            return fault(self, f"The key can't be used: {problem}.", f"Make {where} readable by its owner alone.")
        if not await records.exist():
            return ok(self, f"{where} can be read; there is no database yet.")
        stored = await records.read(f"SELECT {SIGNING_KEY} FROM signing_keys")  # noqa: S608 - our own columns
        try:
            count = len([Rows(sealer).signing_key(row) for row in stored])
        except SealBroken:
            told = f"{where} is not the key that {records.place} was sealed with."
            return fault(self, told, "Put the key of this database there, from where it is kept.")
        return ok(self, f"{where} opens what is stored ({count} signing keys).")


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
