"""The event loop of the performance model."""
