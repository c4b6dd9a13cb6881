"""Launching Adaptrix on clusters, and measuring how it scales. Nothing imports this; it imports `deployments`.

Files:

local_two_nodes  Two Ray nodes on this machine, without containers: a head, a second node, and Adaptrix spread over
                 both
simulation/      Scaling experiments: a simulator of many replicas, and the sweeps that compare routing policies
"""
