"""What holds where a user writes nothing.

The CRDs carry no defaults: what the API server fills in would differ from what Git says, and a default could not
change without touching every stored object. The operator applies these when it reads a spec, and the description
of each field names its default (a test compares them).
"""

from modelyard.api import names

STAGES = names.DEFAULT_STAGES

# Model.spec.serving and stages[].serving
PORT = 8080
PROGRESS_DEADLINE = "10m"
SCHEDULE_DEADLINE = "30m"
IMAGE_PULL_DEADLINE = "10m"
FETCH_DEADLINE = "1h"
KEEP_WARM_FOR = "1h"
DRAIN_PERIOD = "5m"
REVISION_HISTORY_LIMIT = 3
ROLLOUT_STRATEGY = "BlueGreen"

# Model.spec.artifactPolicy
PICKLE = "Warn"

# Model.spec.stages[].gates[]
GATE_WHEN = "BeforeDeploy"
GATE_INPUTS = "Both"
GATE_TIMEOUT = "30m"
GATE_RETRIES = 0
