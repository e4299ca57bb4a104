"""Stands between offhook and the command of an MCP server: `relay.py PARENT MAX_BYTES COMMAND...`.

It ends with the command; and the command, with all that it started, ends with offhook, also where that is
killed. Longer messages than offhook reads don't reach it. It leads a process group of its own. It is run as
a file, with nothing but the standard library, which starts sooner.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import Any

PR_SET_PDEATHSIG = 1
TOO_LONG = -32050  # of JSON-RPC's codes, one that is left to implementations
CHUNK = 65536
ENDS = 200  # bytes of a message's two ends, in which its id is looked for
# Members have any order; an id next to an end is the message's, and no other's.
_FIRST = re.compile(
    rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+|"[^"\\]*")\s*,\s*"(?:result|error)"'
)
_LAST = re.compile(rb'"id"\s*:\s*(\d+|"[^"\\]*")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


def refusal(id: Any, max_bytes: int) -> dict[str, Any]:
    """What stands in the place of an answer that is too long."""
    error = {"code": TOO_LONG, "message": f"Its answer is longer than {max_bytes} bytes."}
    return {"jsonrpc": "2.0", "id": id, "error": error}


class Messages:
    """Lines as they may be read: an error in the place of a longer answer, nothing in that of others."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = bytearray()
        self._long = False

    def take(self, chunk: bytes) -> Iterator[bytes]:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._add(piece)
            yield self._line()
            self._held.clear()
            self._long = False
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) > self._max_bytes:
            self._long = True
            del self._held[ENDS:-ENDS]

    def _line(self) -> bytes:
        if not self._long:
            return bytes(self._held) + b"\n"
        answers = _FIRST.match(self._held[:ENDS]) or _LAST.search(self._held[-ENDS:])
        if answers is None:
            return b""
        return json.dumps(refusal(json.loads(answers[1]), self._max_bytes)).encode() + b"\n"


def main() -> None:
    parent, max_bytes, *command = sys.argv[1:]
    signal.signal(signal.SIGUSR1, lambda *_: os.killpg(0, signal.SIGKILL))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != int(parent):
        sys.exit("offhook is already gone")
    reads, writes = os.pipe()
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writes, sys.stdout.fileno())],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python ignores
    )
    os.close(writes)
    messages = Messages(int(max_bytes))
    while chunk := os.read(reads, CHUNK):
        for line in messages.take(chunk):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    os.close(sys.stdout.fileno())  # which tells that nothing more comes, though it may not have ended
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main()
