"""Taking in a batch: by columns what nothing contradicts, record by record the rest."""
