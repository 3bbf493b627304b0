"""One training loop for every network; recipes define what happens to a batch."""
