"""cases.csv -> intervals, tests and claims: how far each number can be trusted."""
