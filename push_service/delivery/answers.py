"""Reads the answer of a provider whole, and no more of it than such an answer can have."""

from __future__ import annotations

import aiohttp

MAX_BYTES = 64 * 1024


async def whole(response: aiohttp.ClientResponse) -> bytes:
    """The body, cut off at 64 KiB. How long that may take is the caller's to bound."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) >= MAX_BYTES:
            break
    return bytes(read)
