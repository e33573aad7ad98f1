"""A simulated day: shippers and drivers that speak HTTP only."""
