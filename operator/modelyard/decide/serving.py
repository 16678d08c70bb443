"""Which writes bring a stage's Service, ConfigMap and Deployments to where its pointer says?

The Service comes first: it is what moves traffic. Deployments are made, scaled and deleted, never rewritten.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelyard.api import codec, names
from modelyard.decide import manifests, progress, targets
from modelyard.decide.gates.probe import Probe, service
from modelyard.decide.plan import Action, Create, Delete, Patch
from modelyard.decide.revisions import Built
from modelyard.decide.snapshot import Obj
from modelyard.decide.spec import StageSpec
from modelyard.decide.stage import StageOutcome
from modelyard.decide.state import Revision, StageState
from modelyard.decide.world import World


@dataclass(frozen=True)
class _Wanted:
    """A Deployment that should exist."""

    revision: Revision
    replicas: int | None
    """None: as it is."""
    built: Built | None = None
    """None: it can be made again from the revision, when there is a need to."""


def remember_replicas(world: World, outcome: StageOutcome) -> StageState:
    """Keep the number of pods that a stage is about to lose to a suspension, for the way back."""
    stage, state = outcome.spec, outcome.state
    present = world.deployment(stage, state.current.revision) if state.current else None
    running = int(present["spec"].get("replicas", 1)) if present else 0
    if _is_down(outcome):
        return replace(state, replicas_before_suspend=running) if running else state
    return replace(state, replicas_before_suspend=None) if running else state


def actions(world: World, outcome: StageOutcome, probes: Iterable[Probe]) -> tuple[Action, ...]:
    """The writes of one stage, in order. `probes`: the candidates that gates ask at this stage."""
    probes = tuple(probes)
    return (*_pointer(world, outcome), *_deployments(world, outcome, probes), *_services(world, outcome, probes))


def _pointer(world: World, outcome: StageOutcome) -> Iterator[Action]:
    """Service and ConfigMap of the stage's pointer."""
    stage, state = outcome.spec, outcome.state
    if state.current is None:
        return
    wanted = [(world.seen.configmaps, manifests.configmap(world, stage, state, state.current))]
    if stage.serving:
        wanted.insert(0, (world.seen.services, manifests.service(world, stage, state.current)))
    for known, manifest in wanted:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if (kind, name) in world.seen.conflicts:
            continue
        present = known.get(name)
        if present is None:
            yield Create(manifests.with_state(manifest, state))
        elif kind == "Service" and _serves_ahead(world, outcome, present):
            continue
        elif change := manifests.change(present, manifest, state):
            yield Patch(kind, name, change, present["metadata"]["resourceVersion"])


def _serves_ahead(world: World, outcome: StageOutcome, present: Obj) -> bool:
    """Whether the Service reaches pods of another revision and the pointer's are not ready.

    A pointer moves to ready pods, so this is one that was taken up from the ledger: what serves serves on until then.
    """
    stage, current = outcome.spec, outcome.state.current
    assert current
    routed = (present["spec"].get("selector") or {}).get(names.LABEL_REVISION, "")
    if routed == current.revision or not progress.ready_pods(world.deployment(stage, routed)):
        return False
    wanted = progress.wanted_replicas(world, stage, outcome.state)
    return not progress.of_revision(world, stage, current.revision, wanted).ready


def _services(world: World, outcome: StageOutcome, probes: Iterable[Probe]) -> Iterator[Action]:
    """The Services of candidates; and away with those of this stage that have no use, or another name, by now."""
    stage = outcome.spec
    # Stages may exchange their names: a Service that was this one's is another's then.
    kept = {each.serving.service_name for each in world.stages if each.serving}
    for probe in probes if stage.serving else ():
        manifest = service(world, stage, probe.revision)
        name = manifest["metadata"]["name"]
        wanted = name not in world.seen.services and ("Service", name) not in world.seen.conflicts
        if wanted and progress.ready_pods(world.deployment(stage, probe.revision.hash)):
            yield Create(manifest)
        kept.add(name)
    for present in world.seen.services.values():
        metadata = present["metadata"]
        surplus = manifests.stage_of(present) == stage.name and metadata["name"] not in kept
        if surplus and "deletionTimestamp" not in metadata and _is_followed(world, outcome, present):
            yield Delete.of(present)


def _is_followed(world: World, outcome: StageOutcome, present: Obj) -> bool:
    """Whether requests arrive by the stage's present name: until then the Service of the name before stays."""
    serving, current = outcome.spec.serving, outcome.state.current
    is_pointer = names.ANNOTATION_SEQUENCE in (present["metadata"].get("annotations") or {})
    if serving is None or current is None or outcome.spec.suspend or not is_pointer:
        return True
    return progress.is_reached(world, outcome.spec, serving.service_name, current.revision)


def _deployments(world: World, outcome: StageOutcome, probes: Iterable[Probe]) -> Iterator[Action]:
    stage = outcome.spec
    wanted = {item.revision.hash: item for item in _wanted(world, outcome, probes)} if stage.serving else {}
    prefix = f"{stage.object_name}-"
    for item in wanted.values():
        present = world.deployment(stage, item.revision.hash)
        if present is None:
            yield from _create(world, stage, item)
        elif item.replicas is not None and present["spec"].get("replicas", 1) != item.replicas:
            yield _scale(world, present, item.replicas)
        yield from _restart(world, outcome, item.revision, present)
    for name, present in world.seen.deployments.items():
        surplus = manifests.stage_of(present) == stage.name and name.removeprefix(prefix) not in wanted
        if surplus and "deletionTimestamp" not in present["metadata"] and _may_go(world, outcome):
            yield Delete.of(present)


def _scale(world: World, present: Obj, replicas: int) -> Patch:
    """Another number of pods; when it is more, the time too, from which the new pods' deadlines count."""
    body: dict[str, Any] = {"spec": {"replicas": replicas}}
    if replicas > present["spec"].get("replicas", 1):
        body["metadata"] = {"annotations": {names.ANNOTATION_SCALED_AT: codec.format_time(world.now)}}
    return Patch("Deployment", present["metadata"]["name"], body)


def _may_go(world: World, outcome: StageOutcome) -> bool:
    """Whether surplus Deployments may go: not while the stage's switch is still under way."""
    if outcome.state.current is None:
        return True
    released = progress.released_at(world, outcome.state)
    return released is not None and world.now >= released


def _create(world: World, stage: StageSpec, item: _Wanted) -> Iterator[Action]:
    built = item.built or targets.rebuild(world, stage, item.revision)
    if built is None or built.template is None:
        return
    version = world.versions.get(item.revision.version)
    pinned = (version.status.get("artifact") or {}).get("objects") if version else None
    objects = [[entry["path"], entry["versionId"]] for entry in pinned] if pinned else None
    replicas = 1 if item.replicas is None else item.replicas
    uri = built.revision.uri
    revision = replace(item.revision, uri=uri, served_from=None, served_until=None, warm_until=None, template={})
    yield Create(manifests.deployment(world, stage, revision, built.template, replicas, objects))


def _wanted(world: World, outcome: StageOutcome, probes: Iterable[Probe]) -> Iterator[_Wanted]:
    """Every Deployment the stage should have; of two for one revision, the later entry counts."""
    stage, state = outcome.spec, outcome.state
    assert stage.serving is not None
    full = progress.wanted_replicas(world, stage, state)
    released = progress.released_at(world, state)
    for revision in state.revisions:
        yield _Wanted(revision, _kept_replicas(world, outcome, revision, released, full))
    for probe in probes:
        yield _Wanted(probe.revision, full, probe.built)
    for target in outcome.targets:
        if not target.progress.failed:
            yield _Wanted(target.revision, full, target.built)
    current = state.revision(state.current.revision) if state.current else None
    if current:
        yield _Wanted(current, _current_replicas(world, outcome))


def _kept_replicas(
    world: World, outcome: StageOutcome, revision: Revision, released: datetime | None, full: int
) -> int | None:
    """Replicas of a revision that is kept beside the current one."""
    serving, current = outcome.spec.serving, outcome.state.current
    assert serving is not None
    if released is None or world.now < released:
        return None  # it may still receive requests
    on_call = bool(current and current.on_trial and current.replaced and current.replaced.hash == revision.hash)
    if revision.good and revision.warm_until and (on_call or world.now < revision.warm_until):
        return full if serving.keep_warm_replicas is None else serving.keep_warm_replicas
    return 0


def _current_replicas(world: World, outcome: StageOutcome) -> int | None:
    """Replicas of the current revision; None where somebody else owns the number."""
    stage, state = outcome.spec, outcome.state
    assert stage.serving is not None
    if _is_down(outcome):
        return 0
    if stage.serving.replicas is not None:
        return stage.serving.replicas
    present = world.deployment(stage, state.current.revision) if state.current else None
    if present is None:
        return state.replicas_before_suspend or 1
    asleep = present["spec"].get("replicas", 1) == 0 and state.replicas_before_suspend
    return state.replicas_before_suspend if asleep else None


def _is_down(outcome: StageOutcome) -> bool:
    """Whether the current revision is to have no pods: suspended, or giving way to a target (Replace)."""
    stage = outcome.spec
    replacing = stage.serving is not None and stage.serving.strategy == "Replace" and bool(outcome.targets)
    return stage.suspend or replacing


def _restart(world: World, outcome: StageOutcome, revision: Revision, present: Obj | None) -> Iterator[Action]:
    """Restart a promoted-over revision's warm pods once, so that no client stays connected to the old version."""
    current, serving = outcome.state.current, outcome.spec.serving
    if present is None or current is None or serving is None or current.effective_since is None:
        return
    due = world.end_of(serving.drain_period, current.effective_since)
    warm = revision.good and revision.warm_until and world.now < revision.warm_until
    if not warm or world.now < due or revision.hash == current.revision or revision.served_until is None:
        return
    metadata = present["spec"]["template"].get("metadata") or {}
    restarted = (metadata.get("annotations") or {}).get(names.ANNOTATION_RESTARTED_AT)
    if restarted and codec.parse_time(restarted) >= revision.served_until:
        return
    if progress.ready_pods(present) == 0:
        return
    # Not before it was replaced, by a clock that was ahead then: else this would be due again at once, for ever.
    stamp = {names.ANNOTATION_RESTARTED_AT: codec.format_time(max(world.now, revision.served_until))}
    body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    yield Patch("Deployment", present["metadata"]["name"], body)
