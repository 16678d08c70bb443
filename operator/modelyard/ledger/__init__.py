"""The record of everything that ever served: a hash chain of JSON documents in object storage, and its readers."""
