"""Bench of the answer queue: a list of answers is its model.

The configuration space answers each request once, some time after it has taken it.
"""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut, assert_held
from packet_streams import integers

from csnn.hardware.latency import FIFO
from csnn.packets import Kind, encode
from rtl.mesh.answer_queue import AnswerQueue
from rtl.verilate import to_words

DEPTH = 4
CYCLES = 800
ACCESS_BITS = 65


class Model:
    """What waits, with the cycle from which on it is offered."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int]] = []
        self.asked: tuple[int, bool] | None = None

    def cycle(self, t: int, i: dict[str, int]) -> dict[str, int]:
        """Return the outputs of a cycle and go on."""
        access = i["access__payload"]
        is_write = access & 1
        has_room = len(self.waiting) < DEPTH
        may_ask = is_write or has_room
        out = {
            "request__valid": int(i["access__valid"] and may_ask),
            "request__payload": access,
            "access__ready": int(i["request__ready"] and may_ask),
            "refused": int(i["answered"] and i["answer"] & 1),
            "output__valid": int(bool(self.waiting) and t >= self.waiting[0][0]),
            "output__payload": self.waiting[0][1] if self.waiting else 0,
        }
        if out["output__valid"] and i["output__ready"]:
            self.waiting.pop(0)
            if self.waiting:
                # The register of the output has the next one a cycle later at the earliest.
                self.waiting[0] = max(self.waiting[0][0], t + 1), self.waiting[0][1]
        if i["answered"]:
            assert self.asked is not None
            address, is_read = self.asked
            if is_read:
                host = i["host"]
                target = host & 0xFF, host >> 8 & 0xFF, host >> 16
                data = 0 if i["answer"] & 1 else i["answer"] >> 1
                packet = encode(Kind.MONITOR, target, address=address, data=data)
                self.waiting.append((t + FIFO, packet))
            self.asked = None
        if out["request__valid"] and i["request__ready"]:
            self.asked = access >> 1 & 0xFFFFFFFF, not is_write
        if i["rst"]:
            self.waiting, self.asked = [], None
        return out


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: float, takes: float, answers: float = 0.3, reads: float = 0.7, resets: float = 0.0,
) -> None:  # fmt: skip
    model = Model()
    access: int | None = None
    taken, expected = [], []
    for t in range(CYCLES):
        if access is None and rng.random() < offers:
            is_write = int(rng.random() >= reads)
            access = is_write | int(rng.integers(2**32)) << 1 | int(rng.integers(2**32)) << 33
        is_last = t == CYCLES - 1
        i = {
            "access__valid": int(access is not None),
            "access__payload": access or 0,
            "request__ready": int(model.asked is None and rng.random() < 0.7),
            "answered": int(model.asked is not None and rng.random() < answers),
            "answer": int(rng.random() < 0.3) | int(rng.integers(2**32)) << 1,
            "host": int(rng.integers(1 << 24)),
            "output__ready": int(rng.random() < takes),
            "rst": int(is_last or rng.random() < resets),
        }
        full, asked = len(model.waiting) == DEPTH, model.asked
        out = model.cycle(t, i)
        cover.hit(
            "read waits for room", full and i["access__valid"] and not i["access__payload"] & 1
        )
        cover.hit("write past a full queue", full and out["request__valid"])
        cover.hit("refused read", out["refused"] and asked is not None and asked[1])
        cover.hit("refused write", out["refused"] and asked is not None and not asked[1])
        cover.hit("answer waits", out["output__valid"] and not i["output__ready"])
        cover.hit("reset with answers", i["rst"] and full)
        cover.hit("reset before the answer", i["rst"] and asked is not None)
        if i["access__valid"] and out["access__ready"]:
            access = None
        taken.append(i)
        expected.append(out)
    arrays = {name: [i[name] for i in taken] for name in taken[0] if name != "access__payload"}
    arrays["access__payload"] = to_words([i["access__payload"] for i in taken], ACCESS_BITS)
    found = await dut.run(arrays)
    for name in expected[0]:
        values = integers(found[name])
        for t, out in enumerate(expected):
            valid = name.replace("payload", "valid")
            if valid == name or out[valid]:
                assert values[t] == out[name], (t, name)
    assert_held(found, "output")


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing is asked; then something now and then."""
    await drive(dut, rng, cover, offers=0.0, takes=0.5)
    await drive(dut, rng, cover, offers=0.03, takes=1.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """The network takes little; then nothing waits."""
    await drive(dut, rng, cover, offers=1.0, takes=0.05)
    await drive(dut, rng, cover, offers=1.0, takes=1.0, answers=1.0, reads=1.0)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets requests and answers."""
    await drive(dut, rng, cover, offers=0.8, takes=0.05, resets=0.03)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every rate of both sides."""
    for offers, takes in ((0.9, 0.1), (0.2, 0.9), (0.5, 0.3)):
        await drive(dut, rng, cover, offers=offers, takes=takes)


BENCH = Bench(
    make=lambda: AnswerQueue(DEPTH),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *("read waits for room", "write past a full queue", "refused read", "refused write"),
        *("answer waits", "reset with answers", "reset before the answer"),
    ),
    mutated="top",
)
