"""Smaller and faster forms of a published model, each measured beside the original; a file for every way to get one."""
