"""The bundled llama.cpp server, in a process of its own: `python -m models.llm.child_main`.

Standard input brings one line of JSON (see `Launch`) and then stays open for as long as the parent
lives; standard output answers with one line, the address. The key travels this way because arguments
and environments can be read by other users.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Any

PR_SET_PDEATHSIG = 1
# As the speech models: its threads wait for each other, so that one that is kept waiting stops them all.
NICENESS = 5
# As fast as larger ones, and no request waits longer for another's, nor for its own to be given up.
BATCH_TOKENS = 32


@dataclass(frozen=True)
class Launch:
    weights: str
    api_key: str
    parent: int
    threads: int
    slots: int
    slot_ctx: int
    slot_dir: str
    adapter: str = ""

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):  # they are the parent's: it drains, then closes us
        signal.signal(stop, signal.SIG_IGN)
    launch = Launch(**json.loads(sys.stdin.buffer.readline()))
    die_with(launch.parent)
    os.nice(NICENESS)
    # llama.cpp may print to standard output: give it standard error, and keep the pipe for the address.
    report = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    server = serve(launch)
    os.write(report, json.dumps({"address": server.listening_address}).encode() + b"\n")
    sys.stdin.buffer.read()  # until the parent closes its end, or is gone
    os._exit(0)  # no destructors: a generation in progress would hold them up


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even while native code runs."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is already gone")


def serve(launch: Launch) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")  # its names come from a compiled module

    params = xllamacpp.CommonParams()
    params.model.path = launch.weights
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [launch.api_key]
    params.n_parallel = launch.slots
    params.n_ctx = launch.slot_ctx * launch.slots
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = launch.threads
    params.n_gpu_layers = 0
    params.slot_save_path = launch.slot_dir
    if launch.adapter:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = launch.adapter, 1.0
        params.lora_adapters = [adapter]
    params.warmup = False  # the parent warms it with a real request
    params.cache_ram_mib = 0  # every call has a slot; nothing is swapped out
    params.fit_params = False
    params.ui = False
    params.verbosity = 1  # errors and warnings
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
