"""Faults that have a story of their own: what retention deletes, and what an exchange takes back."""
