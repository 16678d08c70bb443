"""The native cluster's network: a namespace of its own, and one cable to this machine.

    this machine                     namespace
    198.18.0.1/30  modelyard0 ---- uplink  198.18.0.2/30   (node, API server, S3, DNS)
                                     |-- one veth a pod     198.18.16.0/20, made by CNI's ptp plugin
                                     `-- services           198.19.0.0/20, no such host; see below

The machine gets two routes, to pods and Services, and nothing else: its firewall is untouched.
There is no default route inside, so nothing in the cluster can leave the machine.
Pods are joined by routing (ptp), not by a bridge: an answer between two pods of a bridge would
pass kube-proxy's address translation by, unless br_netfilter is loaded.
"""

from __future__ import annotations

from pathlib import Path

from dev.cluster.places import HOST_ADDRESS, LINK_PREFIX, NAMESPACE, NODE_ADDRESS, POD_RANGE, SERVICE_RANGE, SLOT
from dev.cluster.processes import in_namespace
from dev.cluster.say import run, succeeds

HOST_LINK = f"modelyard{SLOT}"
NODE_LINK = "uplink"
SERVICE_LINK = "services"
STARTED_INSIDE = "100"
"""The routing table for what processes in the namespace send, the node's and ours."""


def exists() -> bool:
    """Whether the namespace is there."""
    return Path("/run/netns", NAMESPACE).exists()


def up() -> None:
    """Make what is missing; safe to call on a half-made or working network."""
    if not succeeds(["nsenter", f"--net=/run/netns/{NAMESPACE}", "true"]):
        down()  # a file without a namespace behind it is left by a machine that was switched off
        _ip("netns", "add", NAMESPACE)
    _inside("ip", "link", "set", "lo", "up")
    if not succeeds(in_namespace(["ip", "link", "show", NODE_LINK])):
        succeeds(["ip", "link", "delete", HOST_LINK])
        _ip("link", "add", HOST_LINK, "type", "veth", "peer", "name", NODE_LINK, "netns", NAMESPACE)
    _ip("address", "replace", f"{HOST_ADDRESS}/{LINK_PREFIX}", "dev", HOST_LINK)
    _ip("link", "set", HOST_LINK, "up")
    _inside("ip", "address", "replace", f"{NODE_ADDRESS}/{LINK_PREFIX}", "dev", NODE_LINK)
    _inside("ip", "link", "set", NODE_LINK, "up")
    for destination in (POD_RANGE, SERVICE_RANGE):
        _ip("route", "replace", destination, "via", NODE_ADDRESS, "dev", HOST_LINK)

    # kube-proxy rewrites a Service's address, where a connection starts inside, only after routing, so there it needs
    # some route: an empty bridge leads nowhere, which is right for an address that was not rewritten.
    if not succeeds(in_namespace(["ip", "link", "show", SERVICE_LINK])):
        _inside("ip", "link", "add", SERVICE_LINK, "type", "bridge")
    _inside("ip", "link", "set", SERVICE_LINK, "up")
    _inside("ip", "route", "replace", SERVICE_RANGE, "dev", SERVICE_LINK, "src", NODE_ADDRESS, "table", STARTED_INSIDE)
    if not run(in_namespace(["ip", "rule", "list", "table", STARTED_INSIDE]), why="read rules of routing").strip():
        _inside("ip", "rule", "add", "iif", "lo", "table", STARTED_INSIDE)
    # What pods and this machine send to a Service that kube-proxy does not know yet is refused at once. Led nowhere, it
    # would stay in the table of connections for two minutes, and so would every later connection from the same port.
    _inside("ip", "route", "replace", "unreachable", SERVICE_RANGE)
    # /proc/sys/net is the namespace's own: the machine itself goes on not forwarding.
    _inside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def processes() -> list[int]:
    """The processes inside, which are ours alone: pods have namespaces of their own."""
    return [int(pid) for pid in run(["ip", "netns", "pids", NAMESPACE], why="list ours").split()] if exists() else []


def down() -> None:
    """Remove namespace, cable and routes, whichever of them are there."""
    succeeds(["ip", "netns", "delete", NAMESPACE])
    succeeds(["ip", "link", "delete", HOST_LINK])  # its routes go with it


def _ip(*arguments: str) -> None:
    run(["ip", *arguments], why="set up the cluster's network")


def _inside(*command: str) -> None:
    run(in_namespace(command), why="set up the cluster's network")
