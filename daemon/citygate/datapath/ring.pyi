# No Python face: classify.Classifier reads it.
