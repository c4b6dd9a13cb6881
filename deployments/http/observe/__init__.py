"""What is told of requests: metrics and the request log.

Files:

metrics          `GET /metrics` in Prometheus' text form: what this ingress counted, and what each replica last
                 reported
replica_metrics  What replicas report, as Prometheus metrics: their numbers, counts by adapter, and the names that
                 gateways read
replica_numbers  What each number of a replica's report is called in Prometheus' terms, and whether it only grows
request_log      What the log says about one finished request
request_record   What is known of one request so far: what its log line and its span are made of
request_watch    One generation request, watched from its arrival to its end: counted, traced, and told in one line of
                 the log
"""
