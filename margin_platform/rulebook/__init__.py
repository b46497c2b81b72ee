"""Rules that are stated and tested, and not yet applied by the product."""
