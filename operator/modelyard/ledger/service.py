"""What the operator's ledger service and those who read through it agree on. Both ends import it; nothing is done here.

    GET /v1                          who is asking, and whose ledger it is
    GET /v1/folders/<folder>         names of the folders in it
    GET /v1/files/<folder>?after=    names and sizes of the objects in it, a page of them
    GET /v1/objects/<name>           an object's bytes, as they lie in the store

That is a `ReadPlace`, asked over HTTPS. Whoever reads gets the very bytes and checks the chain himself, so he need not
believe the operator. A refusal is a Kubernetes `Status`. Small segments are all that is there, so no answer is large.
"""

import re

from modelyard.ledger.layout import LEVELS

ROOT = "/v1"
SERVICE = "modelyard-system/modelyard-ledger"
"""Where the chart puts the Service, and a ConfigMap of the same name that says where the ledger is."""
PORT = "https"
"""Name of the Service's port."""
TOKEN = "X-Modelyard-Token"
"""Header of the caller's own token. What is sent through the API server cannot use `Authorization`: that one is for the
API server, which takes it off. Who comes directly may."""
PAGE = 1000
SERVED_LEVELS = LEVELS[:2]
"""Segments that are handed out. Some megabytes are the most that one answer may take of the operator's memory."""
RESOURCE, SUBRESOURCE = "models", "ledger"
"""Virtual resource by which RBAC says who may read: `get` one model's chain, `list` which there are."""
PART = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._]{0,62}")
"""Each part of a name. None begins with a dot."""
