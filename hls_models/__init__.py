"""From graphs of neuron models to schedules, resources, design-space exploration and C++."""
