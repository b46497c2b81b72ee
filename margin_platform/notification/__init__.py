"""Notices to customers: what happened, by how much, until when, and what cures it; delivered with proof or escalated."""
