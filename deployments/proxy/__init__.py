"""What runs inside Ray Serve's HTTP proxy.

Files:

errors    What Ray Serve's HTTP proxy says of its own accord, in the shape that all our errors have
metrics   What one of Ray Serve's proxies counts, told with what the ingress behind it answers to `GET /metrics`
refusals  Refusing in Ray Serve's own HTTP proxy what the ingress has just refused, so that refusals take little from
          answers
"""
