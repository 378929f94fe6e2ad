"""Requests of one model, computed together."""
