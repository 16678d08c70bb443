"""The only writer: carries a Plan out against the API server, in its order."""
