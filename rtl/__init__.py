"""The machine in Amaranth: components that equal the reference simulator bit for bit."""
