"""Names that are API: the group, labels, annotations and the names of the objects Modelyard makes.

Everything here is seen by users or selected on by other tools; none of it is ever renamed silently.
"""

GROUP = "modelyard.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "modelyard"

# Labels on everything the operator makes for a Model.
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "modelyard"
LABEL_MODEL = f"{GROUP}/model"
LABEL_VERSION = f"{GROUP}/version"
LABEL_STAGE = f"{GROUP}/stage"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_JOB = f"{GROUP}/job"  # verify | check | gate
LABEL_GATE = f"{GROUP}/gate"
LABEL_REQUIRE_REASON = f"{GROUP}/require-reason"  # on Models, set by an admission policy after spec.requireReason
MANAGED_SELECTOR = f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_MODEL}"

# Annotations that users set.
ANNOTATION_REQUEST = f"{GROUP}/request"  # any new value asks anew for the stage
ANNOTATION_RETRY = f"{GROUP}/retry"  # any new value: another attempt of the gates and of a failed verification
ANNOTATION_REASON = f"{GROUP}/reason"  # why; copied into the record
ANNOTATION_CHANGE = f"{GROUP}/change"  # Git commit or pipeline behind a request: claimed by whoever asks, not verified
ANNOTATION_ALLOW_DELETION = f"{GROUP}/allow-deletion"  # true, or unrecorded

# Stamps: annotations that the chart's admission policies write or demand, each time with the authenticated user.
ANNOTATION_REQUESTED_BY = f"{GROUP}/requested-by"  # who changed stage, request or a Model's stages, or created this
ANNOTATION_RETRIED_BY = f"{GROUP}/retried-by"  # who asked for another attempt

# Annotations that the operator sets on its own objects.
ANNOTATION_SEQUENCE = f"{GROUP}/sequence"  # on Services: the stage's pointer counter
ANNOTATION_ON_TRIAL = f"{GROUP}/on-trial"  # on ConfigMaps: the gates of what serves have not all passed yet
ANNOTATION_REVISION = f"{GROUP}/revision"  # on Services and Deployments: what is needed to rebuild status
ANNOTATION_TASK = f"{GROUP}/task"  # on pods: what the helper in it has to do, read through the downward API
ANNOTATION_SCALED_AT = f"{GROUP}/scaled-at"  # on Deployments: when the operator last gave them pods
ANNOTATION_RESTARTED_AT = f"{GROUP}/restarted-at"

DEFAULT_STORAGE_SECRET = "modelyard-storage"
MODEL_MOUNT = "/mnt/models"
CANDIDATE_MOUNT = f"{MODEL_MOUNT}/candidate"
INCUMBENT_MOUNT = f"{MODEL_MOUNT}/incumbent"
TASK_FILE = "/etc/modelyard/task.json"
TRUST_FOLDER = "/etc/modelyard-trust"  # keys and certificates out of ConfigMaps and Secrets, in verify pods

DEFAULT_STAGES = ("staging", "production")
STAGE_NONE = "none"
STAGE_ARCHIVED = "archived"
RESERVED_STAGES = (STAGE_NONE, STAGE_ARCHIVED, "status", "scale", "finalizers")
