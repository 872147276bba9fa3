"""Nothing for Python: reached through endpoints.Shared."""
