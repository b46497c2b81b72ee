"""What must hold of every simulation, written apart: nothing here imports the product."""
