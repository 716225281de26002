"""The performance model: cycles per step of a machine."""
