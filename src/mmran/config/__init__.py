"""Files -> a checked configuration -> specifications; which code decides which result; what would run again."""
