"""A TCP link that can be broken: reset, refused, slow, or half-open, where both ends believe in a connection that is gone."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from contextlib import suppress

RST = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Proxy:
    """Forwards a loopback port to another. Connections that are forgotten stay open and carry nothing any more; new ones work."""

    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._flows: list[_Flow] = []
        self._refusing = False
        self.delay_s = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                _reset(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._to), timeout=3)
            except OSError:
                _reset(near)
                continue
            far.settimeout(None)
            self._flows = [flow for flow in self._flows if not flow.ended] + [_Flow(self, near, far)]

    def forget(self) -> None:
        """All connections of now become half-open: no end, no reset, no byte."""
        for flow in self._flows:
            flow.forgotten = True

    def reset(self) -> None:
        """All connections of now end with a reset."""
        for flow in self._flows:
            flow.end()

    def refuse(self, refusing: bool) -> None:
        """Nobody is let in, or everybody again."""
        self._refusing = refusing
        if refusing:
            self.reset()

    def close(self) -> None:
        self._listener.close()
        self.reset()


class _Flow:
    def __init__(self, proxy: Proxy, near: socket.socket, far: socket.socket) -> None:
        self._proxy, self._ends = proxy, (near, far)
        self.forgotten = self.ended = False
        threading.Thread(target=self._forward, daemon=True).start()

    def _forward(self) -> None:
        near, far = self._ends
        with suppress(OSError, ValueError):
            while not self.ended:
                ready, _, _ = select.select(self._ends, [], [], 0.2)
                for end in ready:
                    data = end.recv(65_536)
                    if self.forgotten:  # read and thrown away: neither end learns anything
                        if not data:
                            return
                        continue
                    if not data:
                        self.end()
                        return
                    time.sleep(self._proxy.delay_s)
                    (far if end is near else near).sendall(data)
        if not self.forgotten:
            self.end()

    def end(self) -> None:
        self.ended = True
        for end in self._ends:
            _reset(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    end.close()
