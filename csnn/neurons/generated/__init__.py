"""Generated neuron updates; written by `python -m csnn.neurons.compiled`."""
