"""Facts in sentences: no cells, no colours, and no arithmetic on arrays."""
