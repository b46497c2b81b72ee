"""The firm: shocks over the whole book."""
