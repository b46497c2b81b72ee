"""The ladder from a warning to a liquidation: a pure function of a state and an observation."""
