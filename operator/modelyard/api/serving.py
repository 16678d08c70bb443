"""How a Model is served: `spec.serving` of a Model and what its stages override of it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from modelyard.api.base import ApiType, Duration, OpenType, Rule, ServiceName, list_map, validated


class Container(OpenType):
    """A container, as in a Pod."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the container; unique in the pod."""


class PodSpec(OpenType):
    """What runs, as in a Pod's spec: every field of one is understood."""

    containers: Annotated[list[Container], Field(min_length=1, max_length=32, json_schema_extra=list_map("name"))]
    """The containers of the pod. The first one is the model's server (or, in a gate, the evaluation)."""


class PodTemplate(OpenType):
    """A pod template, as in a Deployment."""

    metadata: dict[str, Any] | None = None
    """Labels and annotations of the pods."""
    spec: PodSpec
    """What runs, as in a Pod's spec: every field of one is understood."""


class KeepWarm(ApiType):
    """What stays of the revision that was just replaced, so that going back to it takes one write."""

    for_: Duration | None = None
    """How long the replaced revision's pods stay after a promotion. `0s` keeps none. Default: 1h."""
    replicas: Annotated[int, Field(ge=0, le=10000)] | None = None
    """How many of its pods stay; 0 saves GPUs and makes a rollback wait for pods. Default: all of them."""


class Rollout(ApiType):
    """How a revision takes over from the one before."""

    strategy: Literal["BlueGreen", "Replace"] | None = None
    """BlueGreen starts the new revision beside the old one and switches when it is ready. Replace stops the old one
    first, for models of which only one fits, and accepts an interruption. Default: BlueGreen."""


class Serving(ApiType):
    """How a model is served."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port the server listens on, and the port of the stage's Service. Default: 8080."""
    template: PodTemplate | None = None
    """The pods that serve. The version's files are mounted read-only at /mnt/models of every container, fetched and
    checked against the digest before any of them starts; the environment has MODELYARD_MODEL, MODELYARD_VERSION,
    MODELYARD_DIGEST and MODELYARD_STAGE. A change makes a new revision of what serves, which takes over when ready."""
    progress_deadline: Duration | None = None
    """How long a new revision's pods may take to become ready, counted from the end of fetching. Then the request fails
    and the incumbent serves on. Default: 10m."""
    schedule_deadline: Duration | None = None
    """How long pods may wait for a node. Default: 30m."""
    image_pull_deadline: Duration | None = None
    """How long images may fail to be pulled. Default: 10m."""
    fetch_deadline: Duration | None = None
    """How long pods may take to fetch the artifact. Default: 1h."""
    keep_warm: KeepWarm | None = None
    """What stays of the revision that was just replaced, so that going back to it takes one write."""
    drain_period: Duration | None = None
    """After a promotion, how long established connections may stay on the replaced pods before those are restarted
    one by one. Default: 5m."""
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] | None = None
    """How many good revisions are kept, scaled to zero, to roll back to. Default: 3."""
    rollout: Rollout | None = None
    """How a revision takes over from the one before."""


class StageServing(Serving):
    """What a stage overrides of the Model's serving, field by field."""

    replicas: (
        Annotated[
            int,
            Field(
                le=10000,
                json_schema_extra=validated(
                    Rule("self >= 1", "replicas is at least 1; set the stage's suspend to true to scale it to zero")
                ),
            ),
        ]
        | None
    ) = None
    """How many pods serve the stage. Without it the operator starts with one and then never writes the number, so that
    an autoscaler can own it."""
    service_name: ServiceName | None = None
    """Name of the stage's Service. Default: <model>-<stage>."""
