"""CsNN: procedural spiking networks for FPGA meshes, with a bit-exact reference machine.

Reference: Heittmann et al. (2022), "Simulating the cortical microcircuit significantly faster than
real time on the IBM INC-3000 neural supercomputer".
"""

__version__ = "0.1.0"
