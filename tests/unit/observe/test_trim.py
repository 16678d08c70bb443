"""What is kept of an object."""

import copy

from modelyard.observe.trim import LAST_APPLIED, trimmed
from tests.unit.observe.objects import managed, version

KUBECTL = {
    "manager": "kubectl",
    "operation": "Apply",
    "time": "2026-11-21T08:00:00Z",
    "apiVersion": "modelyard.dev/v1alpha1",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:spec": {"f:stage": {}, "f:artifact": {"f:uri": {}}}},
}
OPERATOR = {"manager": "modelyard", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}}


def test_of_the_ownership_records_only_who_set_the_stage_when_is_kept() -> None:
    kept = trimmed(version("7", metadata={"managedFields": [OPERATOR, KUBECTL]}))

    assert kept["metadata"]["managedFields"] == [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "time": "2026-11-21T08:00:00Z",
            "fieldsV1": {"f:spec": {"f:stage": {}}},
        }
    ]


def test_no_ownership_records_are_kept_of_other_kinds() -> None:
    kept = trimmed(managed("Service", "fraud-production", metadata={"managedFields": [OPERATOR]}))

    assert "managedFields" not in kept["metadata"]


def test_the_copy_that_kubectl_apply_leaves_is_dropped_and_users_annotations_are_kept() -> None:
    given = version("7", metadata={"annotations": {LAST_APPLIED: "{}", "modelyard.dev/reason": "better"}})

    assert trimmed(given)["metadata"]["annotations"] == {"modelyard.dev/reason": "better"}


def test_the_given_object_stays_as_it_was() -> None:
    given = managed("Pod", "p", spec={"nodeName": "n", "containers": []}, metadata={"managedFields": [OPERATOR]})
    before = copy.deepcopy(given)
    trimmed(given)

    assert given == before
