"""Routers, links and the master node of the machine."""
