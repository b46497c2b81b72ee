"""Tests, in folders that mirror the product;
beside them the kinds that cross it (golden, properties, integration, chaos).
"""
