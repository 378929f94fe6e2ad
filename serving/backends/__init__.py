"""What computes, behind one Protocol."""
