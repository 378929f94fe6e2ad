"""Runs as other trackers show them: read from our buckets, sent by the trackers' own clients."""
