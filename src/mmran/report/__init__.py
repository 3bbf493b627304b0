"""Summaries and cases -> tables and figures, the paper's values beside ours."""
