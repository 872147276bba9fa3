"""How well `citygate classify` names a folder of labelled captures, with nDPI beside it.

    python -m bench.accuracy FOLDER [--wrong] [--peer] [--markdown FILE] [--golden]

corpus    the labels of the folder (same.yaml: other names for our services)
ours      what citygate calls each flow
ndpi      what nDPI calls each flow (ndpi.yaml: its names as ours)
score     an answer against its label; the figures of a service
reasons   why a flow is not right, by hand (reasons.yaml)
measure   one run over a folder
report    the figures in a terminal
document  docs/accuracy.md
golden    one line a flow, kept in tests/golden so that each change of a name is seen in review
"""
