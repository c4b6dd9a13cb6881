"""Observation of requests: metrics and the request log.

Files:

audited          What a request leaves in the audit log: what an administrator does, and that somebody was refused
batch_metrics    What whoever works on batches has counted, as Prometheus metrics
metrics          `GET /metrics` in Prometheus' text form: this ingress's counters, and each replica's last report
replica_metrics  Replicas' reports as Prometheus metrics: their numbers, counts by adapter, and the names that
                 gateways read
replica_numbers  Name and type of each number of a replica's report in Prometheus' terms
request_log      The log line of a finished request; with its prompt only where the settings ask for it
request_record   The record of one request so far, from which its log line and its span are made
request_watch    Watches one generation request from its arrival to its end: counts it, traces it, and logs it in one
                 line
tracked_request  What a finished request leaves with the tracker, from its record: figures and names, no text
"""
