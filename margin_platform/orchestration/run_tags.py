"""Run tags that both the orchestrator and the jobs name."""

LANE_TAG = "margin/lane"
BATCH_LANE = "batch"
BATCH_TAGS = {LANE_TAG: BATCH_LANE}  # waits in the queue, so that it cannot delay a decision
ENDS_WITH_LAUNCHER_TAG = "margin/ends_with_launcher"  # on runs that never end by themselves
TOPIC_TAG = "kafka/topic"  # what an acting run works on: at most one run of a job works on a topic
SPAN_TAG = "kafka/span"  # topic[partition] start-end, the run's name to a reader
WORKER_TAG = "margin/worker"  # host, process id and start of the process that works for the run
