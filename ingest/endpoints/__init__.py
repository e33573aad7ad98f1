"""HTTP endpoints that write, one module per resource."""
