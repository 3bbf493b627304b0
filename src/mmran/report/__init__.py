"""Results -> tables, figures and a start page, the paper's values next to ours. Nothing here trains."""
