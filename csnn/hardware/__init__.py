"""Shape of the hardware: sizes, latencies and addresses that RTL, tools and models share."""
