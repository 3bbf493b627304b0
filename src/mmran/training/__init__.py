"""One loop for every network; recipes say what happens to a batch."""
