"""Nothing for Python: asked by http."""
