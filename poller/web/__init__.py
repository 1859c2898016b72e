"""The HTTP surface: what other programs may ask of a running engine."""
