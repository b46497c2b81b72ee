"""The audit trail as plain data: entries, the tree over all chains, signed anchors, findings."""
