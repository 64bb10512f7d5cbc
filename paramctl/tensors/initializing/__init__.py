"""Init rules -> values: how each parameter is drawn, in blocks and on all cores."""
