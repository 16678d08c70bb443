"""The demo (`make demo`): the whole main job on a real cluster, told as a story. It is also a test of it."""
