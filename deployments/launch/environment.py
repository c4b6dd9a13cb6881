"""Environment variables for every node's processes: Ray Serve's own settings, with the values that Adaptrix needs.

env $(python -m deployments.launch.environment) ray start …
"""

from __future__ import annotations

SERVE_ENVIRONMENT = {
    # A replica that does not answer cannot shut down in order: waiting for it blocks its clients and its GPU.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # Tokens go straight from process to process, by gRPC, without a change of thread on the way. Ray Serve's
    # default, objects in shared memory, costs more than twice the time for each.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # `security.max_body_bytes` and `security.max_upload_bytes` are the limits, not a message's size.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
    # Refusing in the proxy is much cheaper than behind it.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.proxy.refusals:middlewares",
    # Period of the controller's loop: a tenth of a second by default, which costs an idle system too.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    # Period at which each process gives its counts to Ray, 100 ms by default; Ray sends them every ten seconds. A
    # replica that ends loses what it has counted since, of `ray_serve_*`, not of ours.
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
}

LOCAL_ENVIRONMENT = {
    # All of Ray's processes listen on loopback alone: anybody who reaches one can run code here. The name is Ray's, of
    # the systems on which that is its default.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Beside these, where a cluster is this machine alone and has no dashboard: no notes on handlers and tasks (and
    # nothing in `ray list tasks`), Ray's own figures of the node once a minute, and rare polls for new log files,
    # whose lines are not to be printed. `benchmarks.service.idle` shows what it saves.
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "10",
}

if __name__ == "__main__":
    print(" ".join(f"{name}={value}" for name, value in SERVE_ENVIRONMENT.items()))
