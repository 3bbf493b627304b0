"""Many trials on the CPUs and GPUs at hand. The only package that knows Ray."""
