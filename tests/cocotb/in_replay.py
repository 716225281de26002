"""cocotb test that starts a replay, waits for its end, and measures it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer, with_timeout

# Of simulated time; the clock has 10 ns.
_LIMIT_MS = 1000


@cocotb.test()
async def replay(handle: Any) -> None:
    given = json.loads(os.environ["CSNN_REPLAY"])
    for name in ("entries", "expected", "fault_cycle"):
        getattr(handle, name).value = given[name]
    handle.rst.value = 1
    await Timer(30, "ns")
    handle.rst.value = 0
    begin = time.perf_counter()
    await with_timeout(RisingEdge(handle.done), _LIMIT_MS, "ms")
    seconds = time.perf_counter() - begin
    result = {"cycles": int(handle.cycles.value), "seconds": round(seconds, 3)}
    Path(given["result"]).write_text(json.dumps(result))
