"""Makes `tests/` importable: helper modules such as `networks` lie here."""
