"""Many trials on the available CPUs and GPUs. The only package that knows Ray."""
