"""The network's non-trivial operations, one folder each: `reference.py` is the specification."""
