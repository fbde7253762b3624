"""The command line's entry: `push-service ...`, or `python -m push_service ...`."""

from __future__ import annotations

from push_service.commands import app
from push_service.commands.running import told_in_one_line


def main() -> None:
    """Run one command and end the process: 0 done, 1 refused or failed, 2 wrong usage."""
    with told_in_one_line():
        app(prog_name="push-service")


if __name__ == "__main__":
    main()
