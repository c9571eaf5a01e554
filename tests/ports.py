"""Ports for the servers that the tests start."""

from __future__ import annotations

import itertools
import os
import socket

# Below Linux's range of ephemeral ports, so that no client's socket takes one between here and its server's
# start. The kernel, asked for any free port twice, may name the same one; counting up does not.
FIRST, LAST = 10_000, 32_000
_next = itertools.count(os.getpid() * 101)


def free_port() -> int:
    """A free port of the loopback, that this process does not get again."""
    for number in itertools.islice(_next, LAST - FIRST):
        port = FIRST + number % (LAST - FIRST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port from {FIRST} to {LAST} is free")
