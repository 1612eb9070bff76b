"""The process that forks one for each PDF file: `python -m workers.ingest.pdf.server SOCKET`.

PDFium is C and reads files from strangers. So each file has a process of its own, within bounds of memory and time, which holds
nothing but that file and the pipe to answer on; and to start one costs a fork, not the loading of Python and PDFium.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import sys

from workers.ingest.pdf.reading import confine, frames

REQUEST = struct.Struct("!Q")  # max_chars; beside it the file and the pipe


def serve(requests: socket.socket) -> None:
    """Answers requests until the other side is gone."""
    import pypdfium2  # noqa: F401  before the forks, which have it then

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for them
    gc.freeze()
    while True:
        request, descriptors, *_ = socket.recv_fds(requests, REQUEST.size, 2)
        if len(request) < REQUEST.size or len(descriptors) != 2:
            return
        if os.fork() == 0:
            requests.close()
            _answer(*descriptors, *REQUEST.unpack(request))
        for descriptor in descriptors:
            os.close(descriptor)


def _answer(file: int, pipe: int, max_chars: int) -> None:
    """Reads the file in this process, which ends here whatever happens."""
    try:
        confine()
        with os.fdopen(file, "rb") as pdf, os.fdopen(pipe, "wb") as answer:
            pdf.seek(0)
            for frame in frames(pdf, max_chars):
                answer.write(json.dumps(frame, ensure_ascii=False).encode() + b"\n")
                answer.flush()
    finally:
        os._exit(0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given)
