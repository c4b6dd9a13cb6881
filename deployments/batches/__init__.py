"""Batches: files of requests that are answered in the server's own time, behind everybody who waits.

Files:

answer_lines     The lines of a batch's output: an answer, an error as HTTP would give it, or why there is none
input_lines      The input of a batch, cut into lines and checked line by line: what is wrong with one concerns no
                 other
job              One batch from its input to its files: checked, answered line by line, ended
lowest_priority  The model replicas as batches see them: every call goes at the lowest priority, whatever its line
                 says
own_api          The HTTP API, asked inside the process: lines of batches go through the endpoints like any request,
                 without a socket
places           A bounded number of places, shared among tenants: whoever uses least is served next
runner           Works on all batches that are not over: one runner in a cluster, in the process that has the ledger
"""
