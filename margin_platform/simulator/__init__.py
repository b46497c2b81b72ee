"""A broker's days in one process, from one seed: the world is simulated, the product is not."""
