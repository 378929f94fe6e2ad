"""What asks: wrk and generators of our own, each a process of its own, so that its CPU time is known apart."""
