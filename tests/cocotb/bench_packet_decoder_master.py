"""Bench of the packet decoder of the master node: other kinds make a step."""

from __future__ import annotations

from bench_packet_decoder import decoder_bench

from csnn.packets import Kind

BENCH = decoder_bench(
    (Kind.AER, Kind.BARRIER),
    {
        "$signal: (input__payload[31:24] == 1'h1) | (input__payload[31:24] == 2'h3) => $ ^ $": "a "
        "packet has one kind",
        "$signal$: (input__payload[31:24] == 3'h5) | (input__payload[31:24] == 3'h6) => $ ^ $": "a "
        "packet has one kind",
    },
)
