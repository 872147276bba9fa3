"""Nothing for Python: asked by classify, and by `table.encrypted` in tests."""
