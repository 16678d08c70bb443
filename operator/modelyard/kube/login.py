"""Where the API server is and who we are there: the pod's ServiceAccount, or the file that KUBECONFIG names.

Called by the client and by kopf's login. A user's `~/.kube/config` is never taken up by accident.
"""

import os

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_kube_config
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import load_incluster_config


class LoginError(Exception):
    """There are no usable credentials for an API server."""


async def load_configuration() -> Configuration:
    """Read address, certificates and token afresh; a ServiceAccount's token is read again every minute after."""
    # Else the .netrc and the environment's proxies are read at every request, each in a thread. Neither is meant for an
    # API server, the watches ask neither, and a thread takes longer than the rest of a call.
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    path = os.environ.get("KUBECONFIG")
    try:
        if path:
            await load_kube_config(config_file=path, client_configuration=configuration, persist_config=False)
        else:
            load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        where = f"KUBECONFIG={path}" if path else "the pod's service account"
        hint = "" if path else "; outside a cluster set KUBECONFIG"
        raise LoginError(f"load cluster credentials from {where}: {error}{hint}") from error
    return configuration
