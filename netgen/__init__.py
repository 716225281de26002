"""Network generator: a description becomes a machine image that stores no synapse."""
