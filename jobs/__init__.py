"""Ops, job and schedule of one concern a file."""
