"""JSON documents into the kernel and out of it."""
