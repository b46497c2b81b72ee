"""Instruments, prices and what a price may be trusted for."""
