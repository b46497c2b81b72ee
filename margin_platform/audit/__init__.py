"""The audit trail as plain data: entries, the tree over all chains, signed anchors, and what is wrong with
them.
"""
