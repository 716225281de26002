"""Search for machines: which designs fit which devices, how fast they are, what limits them."""
