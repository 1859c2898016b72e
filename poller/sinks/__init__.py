"""Where events go: one file per type of sink, found through `registry`."""
