"""What runs by itself and what goes out: dispatcher, RQ jobs, commit, routes to drivers, plan endpoints."""
