"""Observability: metric labels, JSON logs, traces. Passed in from the edges; knows no engine.

Files:

ecs         The same log line under the names of the Elastic Common Schema, for Elasticsearch, OpenSearch and what
            feeds them
logs        Log records as JSON: one object per line, with the id of the request that the record belongs to
top_labels  Bounded metric labels: the most used names have a label of their own, the others share one
tracing     Traces: spans made with OpenTelemetry and sent to a collector by OTLP/HTTP, W3C trace context in and out
tracker/    The tracker: what every request leaves, kept in one file, and figures of it by tenant, key, adapter and
            time
"""
