"""HTTP endpoints that read plans and routes, and say whether the service lives."""
