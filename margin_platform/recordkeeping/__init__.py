"""Keeping the records of the store: anchors, archives, what people did, retention and legal hold."""
