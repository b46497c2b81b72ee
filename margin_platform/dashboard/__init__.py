"""The live dashboard: an edge over the topics and the kernel. It shows margin as it moves and computes none of its own.

Kafka -> intake (one thread) -> desk (newest row per account, numbered changes) -> live (one paced sender a page).
"""
