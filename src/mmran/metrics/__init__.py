"""What a prediction is worth: pure functions, units in their names."""
