"""Nothing for Python here: see classifier.pyi."""
