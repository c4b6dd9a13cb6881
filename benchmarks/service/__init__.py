"""Measurements of the service over HTTP and of its processes.

Files:

empty_service  A Ray Serve application of the same shape as ours with nothing in it: an ingress that streams what a
               replica says
idle           What a system takes of the machine while nobody asks it anything, process by process
overload       Goodput under overload: real HTTP against a launched server, at 0.5, 1, 2 and 3 times what it can do
recovery       How long it takes until all is well again: after a client has gone away, and after a process has been
               killed
serve_floor    What Ray Serve takes from an engine by streaming alone, whatever application is on it
versions       Named adapters over HTTP under two versions of this repository, in turns: has a change made requests
               slower?
"""
