"""The live dashboard: an edge over the topics and the kernel.

It shows margin as it moves and computes none of its own.

Kafka -> intake (one thread) -> state (newest row per account, numbered changes) -> server (one paced sender a
page).
"""
