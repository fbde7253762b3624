"""The bell between processes, over Redis or Valkey: pub/sub, and nothing else of it.

`bus.py` implements the port. It speaks through a `node.py` for each server that it rings at: one for a server alone
(`alone.py`), one for each primary of a cluster (`cluster.py`). `link.py` is one connection's life, `wire.py` what is
said on it, `address.py` what BUS_URL means.
"""

from .bus import RedisBus

__all__ = ["RedisBus"]
