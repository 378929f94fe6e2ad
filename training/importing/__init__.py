"""Models that were made elsewhere: read, run, stored in the forms that are served, each compared with the original."""
