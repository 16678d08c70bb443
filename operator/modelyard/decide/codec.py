"""The names by which `decide` knows the codec of the API's dataclasses; see `modelyard.api.codec`."""

from modelyard.api.codec import dump, format_time, load, parse_time

__all__ = ["dump", "format_time", "load", "parse_time"]
