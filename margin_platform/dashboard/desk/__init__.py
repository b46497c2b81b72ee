"""What people at the desk do: acts on calls, letters sent again, and who may."""
