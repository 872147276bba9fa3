"""Nothing for Python: asked by classify, and by `table.ask` in tests."""
