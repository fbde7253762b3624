"""The service with several workers that need no bus between them: on one SQLite file each hears the others' commits.

`python -m tests.support.several serve` is the real program, except that it takes `local:` for a bus that other
processes hear. `Several` starts it in place of the real one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from push_service.__main__ import main
from push_service.config import settings
from tests.support.service import Service


class Several(Service):
    """A supervisor and its workers."""

    def __init__(self, folder: Path, workers: int = 2, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.program = (sys.executable, "-m", "tests.support.several", "serve", "--workers", str(workers))


if __name__ == "__main__":
    mock.patch.object(settings, "BETWEEN_PROCESSES", (*settings.BETWEEN_PROCESSES, "local:")).start()
    main()
