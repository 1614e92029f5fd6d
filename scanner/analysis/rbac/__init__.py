"""Facts about rbac."""
