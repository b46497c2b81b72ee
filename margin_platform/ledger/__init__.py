"""Positions and cash of every account as a fold of fills, cash and corporate actions."""
