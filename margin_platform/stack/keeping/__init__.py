"""The keeper of the local stack: starts again what ends by itself, within a budget."""
