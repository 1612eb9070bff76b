"""The process of one system: `python -m tests.bench.child FD` does the work that it receives over a pipe.

No fork, which would hand on what the parent holds, and no `multiprocessing` spawn, which would import the parent's main
module and time it with the system.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

if __name__ == "__main__":
    pipe = Connection(int(sys.argv[1]))
    work, arguments = pipe.recv()
    work(pipe, *arguments)
