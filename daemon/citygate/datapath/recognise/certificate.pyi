"""Nothing for Python: asked by tls."""
