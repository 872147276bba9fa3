"""Nothing for Python: asked by quic."""
