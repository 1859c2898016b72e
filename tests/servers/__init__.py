"""The real servers that tests deliver to: the ones of the machine where they run, else our own on free ports."""
