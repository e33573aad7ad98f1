"""Problem, evaluation, engines, checker, diff and explanation. Pure functions over frozen data."""
