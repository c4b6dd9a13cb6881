"""Middlewares that run inside Ray Serve's HTTP proxy.

Files:

errors    Puts the answers that Ray Serve's HTTP proxy makes itself into the form of all our errors
metrics   Counters of one of Ray Serve's proxies, appended to the ingress's answer to `GET /metrics`
refusals  Load shedding in Ray Serve's own HTTP proxy: it repeats the ingress's refusals (429) to requests of the same
          kind
"""
