"""The bit-accurate reference machine: a plain definition and a fast equal of it."""
