"""The memory behind a spike recorder: what its bursts wrote."""

from __future__ import annotations

from bench import Arrays, assert_held
from packet_streams import moved

from csnn.hardware.recorder import PAGE_BITS, RECORD_BYTES

_ADDRESS_BITS = 32 + PAGE_BITS
_RECORD_BITS = 8 * RECORD_BYTES


class RecordedMemory:
    """Records by address; a burst is written when it is answered with OKAY."""

    def __init__(self) -> None:
        self.records: dict[int, int] = {}
        self._under_way: tuple[int, int] | None = None
        self._beats: list[int] = []

    def see(self, found: Arrays) -> None:
        """Follow the streams `burst`, `beat` and `response` of a run."""
        assert_held(found, "burst")
        assert_held(found, "beat")
        events = [
            (cycle, channel, payload)
            for channel in ("burst", "beat", "response")
            for cycle, payload in moved(found, channel)
        ]
        events += [(int(cycle), "reset", 0) for cycle in found["rst"].nonzero()[0]]
        for _, channel, payload in sorted(events):
            getattr(self, f"_{channel}")(payload)

    def _burst(self, payload: int) -> None:
        assert self._under_way is None, "a burst before the one before is answered"
        self._under_way = payload & (1 << _ADDRESS_BITS) - 1, payload >> _ADDRESS_BITS

    def _beat(self, payload: int) -> None:
        assert self._under_way is not None, "a beat before its burst"
        is_last, record = payload >> _RECORD_BITS, payload & (1 << _RECORD_BITS) - 1
        self._beats.append(record)
        assert is_last == (len(self._beats) == self._under_way[1] + 1)

    def _response(self, payload: int) -> None:
        assert self._under_way is not None, "an answer to nothing"
        address, length = self._under_way
        assert len(self._beats) == length + 1
        if payload == 0:
            self.records |= {
                address + RECORD_BYTES * place: record for place, record in enumerate(self._beats)
            }
        self._reset(0)

    def _reset(self, _: int) -> None:
        self._under_way, self._beats = None, []
