"""Road networks: import, one memory-mapped file per map, snapping, live traffic, travel times and paths."""
