"""One listening socket for both families of addresses. Called by whatever serves HTTP in the operator."""

import socket


def listening(port: int) -> socket.socket:
    """A socket on all addresses. One, because two would get two ports when any free one (0) is asked for."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
