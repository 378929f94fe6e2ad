"""Datasets prepared from what people have: read in pieces, cleaned, split, profiled, written as shards.

Three steps go over the pieces of a source (`survey`, `fingerprint`, `write`) and one over ranges of hashes (`compare`). Each takes a
piece and leaves its result in a work folder; nothing else passes between them. So the same steps run one after the other in this
process or on Apache Beam, and give the same bytes.
"""
