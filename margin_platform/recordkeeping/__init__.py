"""Keeping the records: anchors, exports, what people did, retention and legal hold, over the store and its
copies elsewhere.
"""
