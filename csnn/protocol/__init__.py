"""The benchmark protocol of the microcircuit: several seeds, long runs, distances to NEST."""
