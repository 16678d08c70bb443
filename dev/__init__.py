"""Tools for working on Modelyard: the local cluster and the demo. Nothing here is shipped."""
