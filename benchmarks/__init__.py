"""Scale and quality runs; their results are under `results/`."""
