"""A published model cut into parts that serve one behind another."""
