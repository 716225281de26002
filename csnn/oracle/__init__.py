"""Independent references: a float64 integrator and the NEST simulator."""
