"""Notices to customers: what happened, what cures it and until when, delivered with proof or escalated."""
