"""Sockets that are known, so that a loop can end when all of them are closed.

Closing a connection takes its loop some turns, and with TLS an answer of the other side too. A loop that ends when it
has been asked for leaves sockets behind, of which the collector of garbage complains in the middle of another test.
"""

import asyncio
import socket
import weakref
from contextlib import suppress
from typing import Any


class Sockets:
    """What makes the sockets of an aiohttp connector (`socket_factory`)."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def __call__(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setblocking(False)
        self._made.add(made)
        return made

    async def hang_up(self) -> None:
        """End every connection, and return when it has ended."""
        while still_open := [each for each in self._made if each.fileno() != -1]:
            for each in still_open:
                with suppress(OSError):  # not connected, or no longer
                    each.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.01)
