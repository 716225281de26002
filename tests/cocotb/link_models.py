"""Models of a link end and of what is between two of them, cycle by cycle, in plain integers.

Numbers of packets and counts never go round here; what is told of them does. A model is asked for
its outputs and told its inputs cycle by cycle, so that a bench can make the one depend on the
other before it runs the component on the same inputs.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from bench import Arrays, Dut
from packet_streams import integers

from csnn.hardware.frames import COUNT_BITS, FRAME_BITS, Channel, decode_frame, encode_frame
from csnn.hardware.mesh import LinkConfig
from rtl.mesh.link_end import LinkEnd
from rtl.mesh.link_receiver import LinkReceiver
from rtl.mesh.link_sender import LinkSender
from rtl.verilate import to_words

ROUND = 1 << COUNT_BITS
CHANNELS = {"unicast": Channel.UNICAST, "broadcast": Channel.BROADCAST}
Counts = tuple[int, int, int]
Fields = dict[str, int]


def joined(counts: Sequence[int]) -> int:
    """Return counts as a port has them: each going round, the first lowest."""
    return sum(count % ROUND << COUNT_BITS * place for place, count in enumerate(counts))


def counts_of(fields: Fields) -> Counts:
    """Return the counts of a frame."""
    return fields["expected"], fields["freed_unicast"], fields["freed_broadcast"]


@dataclass
class SenderModel:
    """All packets ever taken, how far they have come, and since when things are as they are."""

    config: LinkConfig
    t: int = 0
    packets: list[tuple[str, int]] = field(default_factory=list)
    oldest: int = 0
    cursor: int = 0
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANNELS, 0))
    freed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANNELS, 0))
    taken_last: str = "unicast"
    told: Counts = (0, 0, 0)
    last_frame: int = 0
    waits_from: int = 0
    retries: int = 0
    failed: bool = False
    pulses: tuple[bool, bool] = (False, False)
    frames: deque[Fields | None] = field(default_factory=lambda: deque([None] * LinkSender.LATENCY))
    events: set[str] = field(default_factory=set)

    @property
    def frame(self) -> Fields | None:
        """The frame that is offered now."""
        return self.frames[0]

    def step(
        self, offered: dict[str, int | None], counts: Counts, heard: Counts | None, enable: bool
    ) -> dict[str, bool]:
        """Go on by a cycle; return which channels are ready in it."""
        config, under_way = self.config, len(self.packets) - self.oldest
        age = self.t - self.last_frame
        slot = enable and not self.failed and age >= config.frame_cycles
        resends = slot and self.cursor < len(self.packets)
        wants = [
            name
            for name, packet in offered.items()
            if packet is not None and self.sent[name] - self.freed[name] < config.buffer
        ]
        takes = None
        self.events = set()
        if slot and not resends:
            if under_way == config.window:
                self.events |= {"window full"} if wants else set()
            elif wants:
                takes = wants[0] if len(wants) == 1 or self.taken_last != wants[0] else wants[1]
            if not wants and any(packet is not None for packet in offered.values()):
                self.events.add("no room")
        is_due = age >= max(config.keepalive, config.frame_cycles)
        frame = None
        number = self.cursor
        if takes:
            self.packets.append((takes, offered[takes] or 0))
        if resends or takes or (slot and (is_due or counts != self.told)):
            frame = dict(zip(("expected", "freed_unicast", "freed_broadcast"), counts, strict=True))
            frame |= {"packet": 0, "channel": 0, "number": 0}
            if resends or takes:
                name, packet = self.packets[number]
                frame |= {"packet": packet, "channel": CHANNELS[name], "number": number % ROUND}
            else:
                self.events.add("keepalive" if counts == self.told else "counts told")
            self.last_frame, self.told = self.t, counts
        self.frames.popleft()
        self.frames.append(frame)
        self.pulses = (takes is not None, resends)
        self._hear(heard, under_way, number + bool(resends or takes))
        if takes:
            self.sent[takes] += 1
            self.taken_last = takes
            self.events |= {"both offer"} if len(wants) == 2 else set()
        self.t += 1
        return {name: name == takes for name in CHANNELS}

    def _hear(self, heard: Counts | None, under_way: int, following: int) -> None:
        """Believe what fits; look at the time."""
        config = self.config
        step = 0
        if heard is not None:
            step = (heard[0] - self.oldest) % ROUND
            if step > under_way:
                self.events.add("old count")
                step = 0
            for name, count in zip(CHANNELS, heard[1:], strict=True):
                gain = (count - self.freed[name]) % ROUND
                if gain <= self.sent[name] - self.freed[name]:
                    self.freed[name] += gain
                else:
                    self.events.add("old freed")
        expires = under_way > 0 and self.t - self.waits_from == config.timeout - 1
        if step:
            # What has come need not be sent again.
            self.events |= {"answer in time"} if expires else set()
            self.events |= (
                {"answer while sent again"} if self.cursor < self.oldest + step else set()
            )
            following = max(following, self.oldest + step)
            self.oldest += step
            self.retries = 0
        elif expires:
            self.events.add("time-out")
            following = self.oldest
            if self.retries == config.retry_limit:
                self.failed = True
            else:
                self.retries += 1
        if step or expires or not under_way:
            self.waits_from = self.t + 1
        self.cursor = following


@dataclass
class ReceiverModel:
    """A queue for each channel, and when its head may be offered."""

    config: LinkConfig
    t: int = 0
    expected: int = 0
    queues: dict[str, deque[tuple[int, int]]] = field(
        default_factory=lambda: {name: deque() for name in CHANNELS}
    )
    free: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANNELS, 0))
    freed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANNELS, 0))
    heard: bool = False
    quiet_from: int = 0
    silent: bool = False
    overflow: bool = False
    events: set[str] = field(default_factory=set)

    @property
    def counts(self) -> Counts:
        """What is to be told to the other side."""
        return tuple(n % ROUND for n in (self.expected, *self.freed.values()))  # type: ignore

    def offered(self, name: str) -> int | None:
        """Return the packet that a channel offers."""
        queue = self.queues[name]
        if not queue or self.t < max(queue[0][0] + LinkReceiver.LATENCY, self.free[name]):
            return None
        return queue[0][1]

    def step(self, frame: Fields | None, ready: dict[str, bool], enable: bool) -> None:
        """Go on by a cycle."""
        config = self.config
        self.events = set()
        levels = {name: len(queue) for name, queue in self.queues.items()}
        listens = enable and not self.silent and not self.overflow
        leaving = [name for name in CHANNELS if ready[name] and self.offered(name) is not None]
        for name in leaving:
            self.queues[name].popleft()
            self.free[name] = self.t + 1
            self.freed[name] += 1
        if self.heard and enable and not frame and self.t - self.quiet_from >= config.silence_limit:
            self.silent = True
        if frame is not None:
            names = [name for name in CHANNELS if CHANNELS[name] == frame["channel"]]
            is_next = frame["number"] == self.expected % ROUND
            self.events |= {"other number"} if names and not is_next else set()
            self.events |= {"no packet"} if not names and is_next else set()
            for name in names:
                if not listens:
                    self.events |= {"taken no more"} if is_next else set()
                elif is_next and levels[name] == config.buffer:
                    self.overflow = True
                elif is_next:
                    self.queues[name].append((self.t, frame["packet"]))
                    self.expected += 1
                    self.events |= {"buffer full"} if levels[name] == config.buffer - 1 else set()
            self.heard = True
        if frame is not None or not enable:
            self.quiet_from = self.t
        self.t += 1


class LinkEndModel:
    """Both, and the frames that are on their way in and out."""

    def __init__(self, config: LinkConfig) -> None:
        self.sender = SenderModel(config)
        self.receiver = ReceiverModel(config)
        self._out: deque[int | None] = deque([None])
        # Fields; whether the frame is corrupt.
        self._in: deque[tuple[Fields | None, bool]] = deque(
            [(None, False)] * (LinkEnd.RECEIVE_LATENCY - LinkReceiver.LATENCY)
        )

    @property
    def tx_frame(self) -> int | None:
        """The frame that leaves now."""
        return self._out[0]

    @property
    def errors(self) -> dict[str, bool]:
        """The three errors."""
        silent, overflow = self.receiver.silent, self.receiver.overflow
        failed = self.sender.failed or silent or overflow
        return {"failed": failed, "silent": silent, "overflow": overflow}

    @property
    def pulses(self) -> dict[str, bool]:
        """What is counted now."""
        sent, resent = self.sender.pulses
        return {"count_sent": sent, "count_resent": resent, "count_bad": self._in[0][1]}

    def step(
        self, offered: dict[str, int | None], ready: dict[str, bool], rx_frame: int | None,
        exists: bool,
    ) -> dict[str, bool]:  # fmt: skip
        """Go on by a cycle; return which channels are ready to take a packet in it."""
        came = rx_frame is not None and exists
        fields = decode_frame(rx_frame or 0) if came else None
        frame, _ = self._in.popleft()
        self._in.append((fields, came and fields is None))
        sent = self.sender.frame
        self._out.popleft()
        self._out.append(None if sent is None else encode_frame(**sent))
        sends = exists and not self.receiver.silent and not self.receiver.overflow
        takes = exists and not self.sender.failed
        counts, drops = self.receiver.counts, self.errors["failed"]
        self.receiver.step(frame, ready, takes)
        heard = None if frame is None else counts_of(frame)
        if not drops:
            return self.sender.step(offered, counts, heard, sends)
        self.sender.step(dict.fromkeys(offered), counts, heard, sends)
        return dict.fromkeys(offered, True)


class LossyChannel:
    """Loses, doubles, corrupts, delays and reorders frames; delivers one per cycle at most."""

    def __init__(
        self, rng: np.random.Generator, *, latency: int = 4, jitter: int = 0, loss: float = 0.0,
        double: float = 0.0, corrupt: float = 0.0,
    ) -> None:  # fmt: skip
        self._rng = rng
        self._latency, self._jitter = latency, jitter
        self._loss, self._double, self._corrupt = loss, double, corrupt
        self._under_way: list[tuple[int, int, int]] = []
        self._count = 0

    def pass_on(self, t: int, frame: int | None) -> int | None:
        """Take a frame, perhaps, and return the one that arrives in this cycle, if any."""
        rng = self._rng
        if frame is not None and rng.random() >= self._loss:
            for _ in range(1 + (rng.random() < self._double)):
                if rng.random() < self._corrupt:
                    frame ^= 1 << int(rng.integers(FRAME_BITS))
                late = self._latency + int(rng.integers(self._jitter + 1))
                heapq.heappush(self._under_way, (t + late, self._count, frame))
                self._count += 1
        if self._under_way and self._under_way[0][0] <= t:
            return heapq.heappop(self._under_way)[2]
        return None


class Source:
    """Offers packets at some rate, each until it is taken."""

    def __init__(self, rng: np.random.Generator, bits: int) -> None:
        self._rng, self._bits = rng, bits
        self.offered: int | None = None

    def offer(self, rate: float) -> int | None:
        """Return what is offered in this cycle."""
        if self.offered is None and self._rng.random() < rate:
            self.offered = int.from_bytes(self._rng.bytes(self._bits // 8), "little")
        return self.offered


class Trace:
    """Inputs and outputs of a model, to be compared with a component of such inputs."""

    def __init__(self, widths: dict[str, int]) -> None:
        self._widths = widths
        self._inputs: dict[str, list[int]] = {}
        self._outputs: dict[str, list[int | None]] = {}

    def drive(self, **values: int) -> None:
        """Add the inputs of a cycle."""
        for name, value in values.items():
            self._inputs.setdefault(name, []).append(int(value))

    def expect(self, **values: int | None) -> None:
        """Add outputs of a cycle; None: anything."""
        for name, value in values.items():
            self._outputs.setdefault(name, []).append(value)

    def offer(self, name: str, payload: int | None) -> None:
        """Add what an input stream, or a frame with its valid, offers."""
        self.drive(**{f"{name}valid": payload is not None, f"{name}payload": payload or 0})

    async def check(self, dut: Dut) -> Arrays:
        """Run the component; demand that all outputs are those of the model."""
        found = await dut.run(
            {
                name: to_words(values, self._widths[name])
                if self._widths.get(name, 1) > 64
                else np.asarray(values, np.uint64)
                for name, values in self._inputs.items()
            }
        )
        for name, values in self._outputs.items():
            for t, (value, expected) in enumerate(zip(integers(found[name]), values, strict=True)):
                assert expected is None or value == expected, (name, t)
        return found
