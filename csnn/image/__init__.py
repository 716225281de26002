"""The machine image on disk: the contract between generator, simulator and RTL."""
