"""Descriptions of networks, machines and runs: frozen, validated, free of behaviour."""
