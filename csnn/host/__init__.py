"""Control of a machine from its host: the same for a simulation and for a board."""
