"""The house's rules as dated, versioned files, and the policies that are shipped."""
