"""How is the API server reached? TLS as the kubeconfig says it, and a proxy where one is set.

Called by `cluster` once a login. Knows nothing of what is asked over the connections.
"""

import os
import ssl
import tempfile
from typing import Any
from urllib.parse import urlsplit

import urllib3

from modelyard.cli.errors import LoginError
from modelyard.cli.kubeconfig import Login

AT_ONCE = 16
"""Connections that are kept for requests at the same time: the ledger is read with several."""


def connections(login: Login) -> urllib3.PoolManager:
    """A pool for this server; nothing is opened before it is used."""
    options: dict[str, Any] = {"maxsize": AT_ONCE}
    if login.server.startswith("https://"):
        options["ssl_context"] = _tls(login)
        if login.server_name:
            options.update(server_hostname=login.server_name, assert_hostname=login.server_name)
    proxy = login.proxy or _proxy_from_environment(login.server)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _tls(login: Login) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=login.authority.decode() if login.authority else None)
        if not login.verify:  # the kubeconfig says so; like kubectl, no word about it at every request
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if login.identity.certificate and login.identity.key:
            with tempfile.TemporaryDirectory() as folder:  # ssl takes a client's certificate from a file only
                path = os.path.join(folder, "client.pem")
                with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                    file.write(login.identity.certificate + b"\n" + login.identity.key)
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise LoginError(f"log in to the cluster: certificates of the kubeconfig: {error}") from error
    return context


def _proxy_from_environment(server: str) -> str | None:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(server)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
