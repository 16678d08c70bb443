"""The custom resources: their types, names, labels and reasons. The one source of `crds/`."""
