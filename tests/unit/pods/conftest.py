"""Property tests here are judged by what they find, not by how fast a shared machine is at the moment."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
