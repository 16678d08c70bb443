"""What people should not write: inputs made from the CRDs' own schemas, for the API server, `decide` and the operator.

crds/*.yaml -> generate.py -> test_decide.py      all of them, as if the API server let everything through
                           -> test_api_server.py  what it lets through, with an operator process that watches
"""
