"""What figures in README and docs come from; each prints one JSON object on its last line."""
