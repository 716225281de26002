"""Neuron models: one traced description each, and its evaluations."""
