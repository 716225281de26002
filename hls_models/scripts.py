"""What is emitted beside the C++ of a model: test bench, Makefile, script for Vitis, README."""

from __future__ import annotations

from csnn.hardware.devices import DEVICES
from csnn.neurons.model import INPUTS
from hls_models.build import FLAGS, FLOAT_CORES
from hls_models.emit_cpp import Block
from hls_models.stimulus import DT_MS

CLOCK_MHZ = 150.0
PART = DEVICES["xc7z045"].part


def bench(block: Block) -> str:
    """Return the main program of the test bench."""
    name = block.model.name
    return f"""// Test bench: bench [VECTORS [STEPS]]. STEPS: how many of each section are compared.
// Ends with 0 if all words are equal, with 1 and the first difference if not.
#include <climits>

#include "csnn_bench.h"
#include "{name}.h"

int main(int argc, char **argv)
{{
    const char *path = argc > 1 ? argv[1] : "vectors.bin";
    const unsigned long limit = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : ULONG_MAX;
    return csnn::run_bench<csnn::{name}::traits>(path, limit);
}}
"""


def makefile(block: Block) -> str:
    """Return the Makefile."""
    name = block.model.name
    return f"""# make check: build the test bench and compare every word
# make check-cores: the same with sums and products of float (CSNN_FLOAT_CORES)
# make synth: Vitis HLS
CXX ?= g++
CXXFLAGS ?= {" ".join(FLAGS)}
VITIS ?= vitis-run --mode hls --tcl
SOURCES := {name}.cpp bench.cpp
HEADERS := $(wildcard *.h)

.PHONY: check check-cores synth clean

check: bench
\t./bench vectors.bin

check-cores: bench-cores
\t./bench-cores vectors.bin

synth:
\t$(VITIS) csynth.tcl

bench: $(SOURCES) $(HEADERS)
\t$(CXX) $(CXXFLAGS) $(SOURCES) -o $@

bench-cores: $(SOURCES) $(HEADERS)
\t$(CXX) $(CXXFLAGS) {FLOAT_CORES} $(SOURCES) -o $@

clean:
\trm -rf bench bench-cores {block.top}
"""


def vitis(block: Block) -> str:
    """Return the script for Vitis HLS."""
    name = block.model.name
    return f"""# vitis-run --mode hls --tcl csynth.tcl; older releases: vitis_hls -f csynth.tcl
# Environment: CSNN_PART, CSNN_PERIOD_NS; CSNN_CORES=1 takes the floating-point cores;
# CSNN_COSIM=N simulates the RTL for at most N steps of each section of the vectors.
proc setting {{name default}} {{
    global env
    return [expr {{[info exists env($name)] ? $env($name) : $default}}]
}}
set folder [file dirname [file normalize [info script]]]
set flags "-std=c++14 -I$folder"
if {{[setting CSNN_CORES 0]}} {{ append flags " {FLOAT_CORES}" }}
set vectors [file join $folder vectors.bin]

open_project -reset {block.top}
set_top {block.top}
add_files [file join $folder {name}.cpp] -cflags $flags
add_files -tb [file join $folder bench.cpp] -cflags $flags
open_solution -reset solution1 -flow_target vivado
set_part [setting CSNN_PART {PART}]
create_clock -period [setting CSNN_PERIOD_NS {1000 / CLOCK_MHZ:.3f}] -name default

csim_design -argv $vectors
csynth_design
if {{[setting CSNN_COSIM 0]}} {{
    cosim_design -argv "$vectors [setting CSNN_COSIM 0]"
}}
export_design -format ip_catalog
exit
"""


def readme(block: Block, tested: str) -> str:
    """Return what a user of the directory should know; `tested` tells of the vectors."""
    name, pipelines = block.model.name, block.pipelines
    entering = "One neuron enters" if pipelines == 1 else f"{pipelines} neurons enter"
    constants, states = len(block.constant_words), ", ".join(block.state_words)
    return f"""# Neuron model `{name}` in C++ for HLS

`{block.top}` ({name}.cpp) advances a block of up to {block.neurons} neurons by one step.
{entering} per cycle.

| argument | content |
| --- | --- |
| `constant` | {constants} words, the same for all neurons; must not change during a call |
| `count` | number of neurons, at most {block.neurons} |
| `state`, `next` | state before and after the step, a memory for each word: {states} |
| `in` | what arrived in the step, int32: {", ".join(INPUTS)} |
| `out_spike` | which neurons spike |

All words are 32 bits wide; {name}.h lists them in order. `state` and `next` may be two memories
that change places after each step.

    make check          # g++: every word of vectors.bin must come out
    make check-cores    # the same with sums and products of float, as CSNN_CORES=1 has them
    make synth          # Vitis HLS: C simulation, synthesis, export (csynth.tcl)

vectors.bin comes from the NumPy evaluation of the model, which defines it:
{tested}.
A step is {DT_MS} ms. A difference is named by section, step, neuron and variable, with both words.

The arithmetic is that of binary32 with subnormals flushed and one NaN, 0x7FC00000. It is made of
integers (csnn_primitives.h) and means the same under every compiler and in every mode of a
processor. Vitis HLS was not run when this was written: what clock and resources these files come
to is for it to tell.
"""
