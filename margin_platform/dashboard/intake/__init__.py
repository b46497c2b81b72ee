"""How events reach the dashboard, and how fresh they are."""
