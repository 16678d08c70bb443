"""Reads the world: a cache fed by watches and lists, and the snapshot of one Model taken from it."""
