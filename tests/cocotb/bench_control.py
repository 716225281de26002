"""Bench of the control: a state machine in Python is its model.

The environment answers to the model, cycle by cycle; then the component runs with the same inputs
and must give the model's outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from bench import Bench, Coverage, Dut
from packet_streams import integers

from csnn.hardware.config import NodeConfig
from csnn.image.layout import NO_EXT_TABLE
from csnn.packets import spike_hash
from rtl.control import Control
from rtl.verilate import to_words

CONFIG = NodeConfig(rows=16, epochs=3, ext_tables=4)
EVENT_BITS = 65
NODE = 0xBEEF
SETTLING = 4
PER_READ = 5
OUTPUTS = (
    *("event__ready", "source__valid", "source__payload", "next_step", "start"),
    *("barrier__valid", "barrier__payload", "ext_enabled", "ext_table", "dc", "halted", "waiting"),
    *(f"error_{name}" for name in ("count", "sum", "sync_step", "spike_step")),
)


@dataclass
class Sum:
    """Count and sum of spikes; a spike is in them two cycles after the one in which it came."""

    count: int = 0
    total: int = 0
    under_way: list[int | None] = field(default_factory=lambda: [None, None])

    @property
    def busy(self) -> bool:
        return any(spike is not None for spike in self.under_way)

    def go_on(self, spike: int | None, clear: bool) -> None:
        arrives = self.under_way.pop()
        self.under_way.insert(0, spike)
        if clear:
            self.count = self.total = 0
        elif arrives is not None:
            self.count += 1
            self.total = (self.total + arrives) % (1 << 32)


def hashed(source: int, step: int) -> int:
    return int(spike_hash(np.array([source], np.uint32), step)[0])


class Model:
    """Control and schedule as `Control` describes them."""

    def __init__(self, epochs: list[tuple[int, int, int]]) -> None:
        self.epochs = epochs
        self.reset()

    def reset(self) -> None:
        self.state = "HALTED"
        self.handled, self.sent = Sum(), Sum()
        self.coming, self.settling = 0, 0
        self.ext_enabled = self.ext_table = self.dc = 0

    def cycle(self, i: dict[str, int]) -> dict[str, int]:
        """Return the outputs of a cycle and go on."""
        event, step = i["event__payload"], i["step"]
        body = event >> 1
        is_sync = bool(event & 1)
        source, spike_step = body & 0xFFFFFFFF, body >> 32
        count, sync_step, total = body & (1 << 26) - 1, body >> 26 & 63, body >> 32
        out = dict.fromkeys(OUTPUTS, 0)
        failed, going = i["failed"], i["run"] and not i["failed"]
        begins = False
        accepts = drops = False
        following = self.state
        epoch_begins = self.coming < CONFIG.epochs and self.epochs[self.coming][0] <= step
        if self.state == "HALTED":
            out["halted"], drops = 1, bool(failed)
            following = "WAIT" if going else "HALTED"
        elif self.state == "WAIT":
            out["waiting"] = 1
            following = "WAIT" if going else "HALTED"
            accepts = bool(going)
            if (
                going
                and i["event__valid"]
                and is_sync
                and not i["router_busy"]
                and not self.handled.busy
            ):
                begins = True
                out["error_count"] = int(count != self.handled.count)
                out["error_sum"] = int(total != self.handled.total)
                out["error_sync_step"] = int(sync_step != step & 63)
                if not (out["error_count"] or out["error_sum"] or out["error_sync_step"]):
                    following = "BEGIN"
        elif self.state == "BEGIN":
            out["next_step"], following = 1, "EPOCH"
        elif self.state == "EPOCH":
            if not self.settling and not epoch_begins:
                following = "START"
        elif self.state == "START":
            out["start"], following = 1, "LOAD"
        elif self.state == "LOAD":
            if i["computing"] and not i["loading"]:
                following = "COMPUTE"
        elif self.state == "COMPUTE":
            accepts = not failed
            if not (i["computing"] or i["sending"] or self.sent.busy):
                following = "HALTED" if failed else "SEND"
        else:
            accepts = not failed
            out["barrier__valid"] = 1
            out["barrier__payload"] = (
                self.sent.count & 0x3FF | NODE << 10 | (step & 63) << 26 | self.sent.total << 32
            )
            if i["barrier__ready"]:
                following = "WAIT"
        right = spike_step == step
        spike = i["event__valid"] and not is_sync and accepts
        out["source__valid"] = int(bool(spike and right))
        out["source__payload"] = source
        out["error_spike_step"] = int(bool(spike and not right))
        out["event__ready"] = int(
            drops or begins or bool(accepts and not is_sync and i["source__ready"])
        )
        out |= {"ext_enabled": self.ext_enabled, "ext_table": self.ext_table, "dc": self.dc}
        # What the next cycle finds.
        clear = begins or bool(i["clear"])
        handed = out["source__valid"] and i["source__ready"]
        self.handled.go_on(hashed(source, step) if handed else None, clear)
        self.sent.go_on(hashed(i["sent_source"], step) if i["sent"] else None, clear)
        if out["halted"]:
            self.coming, self.settling = 0, SETTLING
        elif self.settling:
            self.settling -= 1
        elif epoch_begins:
            _, table, self.dc = self.epochs[self.coming]
            self.ext_enabled = int(table != NO_EXT_TABLE)
            self.ext_table = table % CONFIG.ext_tables
            self.coming, self.settling = self.coming + 1, SETTLING
        self.state = following
        if i["rst"]:
            self.reset()
        return out


class Environment:
    """The units around the control, as unruly as they may be."""

    def __init__(
        self, rng: np.random.Generator, cover: Coverage, model: Model,
        *, spikes: float, faults: float, stalls: float, resets: float, halts: float,
    ) -> None:  # fmt: skip
        self.rng, self.cover, self.model = rng, cover, model
        self.spikes, self.faults, self.stalls = spikes, faults, stalls
        self.resets, self.halts = resets, halts
        self.step, self.failed, self.run = 0, False, False
        self.event: int | None = None
        self.computing = self.loading = 0
        self.since_sync = 0

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def next_event(self) -> int:
        """Return a spike, or a sync message; sometimes a wrong one."""
        rng, handled = self.rng, self.model.handled
        wrong = self.chance(self.faults)
        if self.chance(self.spikes):
            step = self.step ^ (1 << int(rng.integers(32)) if wrong else 0)
            return (int(rng.integers(2**32)) | step << 32) << 1
        under_way = [spike for spike in handled.under_way if spike is not None]
        count = handled.count + len(under_way)
        total = (handled.total + sum(under_way)) % (1 << 32)
        step = self.step & 63
        # Count, sum, step, or several of them.
        which = int(rng.integers(1, 8)) if wrong else 0
        count ^= 1 << int(rng.integers(26)) if which & 1 else 0
        total ^= 1 << int(rng.integers(32)) if which & 2 else 0
        step ^= 1 << int(rng.integers(6)) if which & 4 else 0
        return (count | step << 26 | total << 32) << 1 | 1

    def inputs(self) -> dict[str, int]:
        """Choose the inputs of a cycle."""
        model = self.model
        halted = model.state == "HALTED"
        if halted and self.chance(0.3):
            self.run = True
        elif self.chance(self.halts):
            self.run = False
        clear = halted and (self.failed or self.chance(0.1)) and self.chance(0.3)
        if self.event is None and self.chance(0.6):
            self.event = self.next_event()
        if clear:
            self.event = None
        if self.loading:
            self.loading -= self.chance(0.5)
        computing = self.computing and (self.computing < 6 or not self.chance(0.3))
        if self.computing and not self.loading:
            self.computing -= 1
        sends = model.state in ("COMPUTE", "SEND", "LOAD") and self.chance(0.4)
        return {
            "run": int(self.run),
            "failed": int(self.failed),
            "clear": int(clear),
            "step": self.step,
            "node": NODE,
            "event__valid": int(self.event is not None),
            "event__payload": self.event or 0,
            "source__ready": int(not self.chance(self.stalls)),
            "router_busy": int(self.chance(0.3)),
            "loading": int(self.loading > 0),
            "computing": int(bool(computing)),
            "sending": int(model.state == "COMPUTE" and self.chance(0.5)),
            "sent": int(sends and model.state == "COMPUTE"),
            "sent_source": int(self.rng.integers(2**32)),
            "barrier__ready": int(not self.chance(self.stalls)),
            "rst": int(self.chance(self.resets)),
        }

    def see(self, i: dict[str, int], out: dict[str, int], before: str, busy: bool) -> None:
        """Answer to the outputs of a cycle."""
        hit = self.cover.hit
        errors = [name for name in OUTPUTS if name.startswith("error") and out[name]]
        for name in errors:
            hit(name)
        hit("barrier waits", out["barrier__valid"] and not i["barrier__ready"])
        hit("spike waits for the router", out["source__valid"] and not i["source__ready"])
        hit("spike during the step", before == "COMPUTE" and out["source__valid"])
        hit(
            "sync waits for the router",
            before == "WAIT" and i["event__valid"] and i["event__payload"] & 1 and i["router_busy"],
        )
        hit("sync waits for the sum", before == "WAIT" and busy and i["event__payload"] & 1)
        hit(
            "spike dropped",
            before == "HALTED" and out["event__ready"] and not i["event__payload"] & 1,
        )
        hit("failed within a step", before == "COMPUTE" and i["failed"])
        hit("halted by the host", before == "WAIT" and not i["run"])
        hit("step with spikes agreed", out["next_step"] and self.since_sync > 1)
        hit("input switched off", self.model.coming and not out["ext_enabled"])
        hit("all epochs begun", self.model.coming == CONFIG.epochs)
        self.since_sync = (
            0 if out["next_step"] else self.since_sync + (out["source__valid"] & i["source__ready"])
        )
        if i["event__valid"] and out["event__ready"]:
            self.event = None
        if out["next_step"]:
            self.step = (self.step + 1) % (1 << 32)
        if out["start"]:
            self.loading, self.computing = int(self.rng.integers(1, 5)), 8
        self.failed = (
            False if i["clear"] else self.failed or bool(errors) or self.chance(self.faults / 20)
        )
        if errors:
            self.run = False
        if i["rst"]:
            hit("reset within a step", before in ("LOAD", "COMPUTE", "SEND"))
            hit("reset with spikes handled", before == "WAIT" and self.since_sync)
            self.failed = self.run = False
            self.event, self.loading, self.computing = None, 0, 0


async def load(dut: Dut, rng: np.random.Generator, first: int) -> list[tuple[int, int, int]]:
    """Write a schedule and read it back."""
    steps = [first, first + 2, first + 5]
    tables = [int(rng.integers(4)), NO_EXT_TABLE, int(rng.integers(4))]
    epochs = [
        (step, table, int(rng.integers(2**32))) for step, table in zip(steps, tables, strict=True)
    ]
    address = np.array([4 * e + k for e in range(len(epochs)) for k in range(3)])
    words = np.array(epochs).ravel()
    await dut.run(
        {
            "schedule__select": 1,
            "schedule__write": np.ones(len(words)),
            "schedule__address": address,
            "schedule__write_data": words,
        }
    )
    found = await dut.run(
        {
            "schedule__select": 1,
            "schedule__address": np.repeat(address, PER_READ),
            "schedule__write_data": rng.integers(0, 2**32, len(words) * PER_READ),
        }
    )
    assert np.array_equal(found["schedule__read_data"][PER_READ - 1 :: PER_READ], words)
    return epochs


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, cycles: int = 800, spikes: float = 0.7, faults: float = 0.0, stalls: float = 0.3,
    resets: float = 0.0, halts: float = 0.0, first: int = 0, event: bool = True,
) -> None:  # fmt: skip
    """Play a stretch and compare all outputs."""
    await dut.run({"rst": [1]})
    model = Model(await load(dut, rng, first))
    # As the component is after a while without `run`.
    model.settling = SETTLING
    around = Environment(
        rng, cover, model, spikes=spikes, faults=faults, stalls=stalls, resets=resets, halts=halts
    )
    around.step = first
    taken, expected = [], []
    for _ in range(cycles):
        i = around.inputs()
        if not event:
            i["event__valid"] = 0
            around.event = None
        before, busy = model.state, model.handled.busy
        out = model.cycle(i)
        around.see(i, out, before, busy)
        taken.append(i)
        expected.append(out)
    arrays = {name: [i[name] for i in taken] for name in taken[0] if name != "event__payload"}
    arrays["event__payload"] = to_words([i["event__payload"] for i in taken], EVENT_BITS)
    found = await dut.run(arrays)
    for name in OUTPUTS:
        values = integers(found[name])
        for t, out in enumerate(expected):
            if name != "barrier__payload" or out["barrier__valid"]:
                assert values[t] == out[name], (t, name)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then steps without spikes."""
    await drive(dut, rng, cover, cycles=60, event=False)
    await drive(dut, rng, cover, spikes=0.0, stalls=0.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Router and network are slow."""
    await drive(dut, rng, cover, stalls=0.8)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset at any time, so often that each sum is seen to begin anew."""
    for resets in (0.02, 0.02, 0.01, 0.01):
        await drive(dut, rng, cover, resets=resets, cycles=1500)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Steps, halts, and every error."""
    for first in (0, 61, 2**31 - 3):
        await drive(dut, rng, cover, halts=0.01, first=first)
        await drive(dut, rng, cover, faults=0.15, halts=0.01, first=first, cycles=1500)
        await drive(dut, rng, cover, faults=0.5, halts=0.2, first=first, cycles=1500)


BENCH = Bench(
    make=lambda: Control(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *(f"error_{name}" for name in ("count", "sum", "sync_step", "spike_step")),
        "barrier waits",
        "spike waits for the router",
        "spike during the step",
        "sync waits for the router",
        "sync waits for the sum",
        "spike dropped",
        "failed within a step",
        "halted by the host",
        "step with spikes agreed",
        "input switched off",
        "all epochs begun",
        "reset within a step",
        "reset with spikes handled",
    ),
    equivalent={
        "$: settling - 1'h1 => settling + 1'h1": "from 4 of 8 it is as far up to 0 as down",
        "clear$: begins | clear => begins ^ clear": "the node is cleared while it is halted",
        "$: $signal$ | ($ & source__ready) => $signal$ ^ $": "events are dropped or handed on",
        "event__ready: ($signal$ | $) | (may_sync & event__payload[0]) => $ ^ $": "a sync message "
        "is no spike, and none is taken while events are dropped",
        "if: go => 1'h1": "the memories of the schedule never stop",
    },
)
