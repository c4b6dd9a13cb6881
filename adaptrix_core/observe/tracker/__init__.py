"""The tracker: what every request leaves, kept in one file, and figures of it by tenant, key, adapter and time.

Files:

book             The one writer of the tracker's file: batches of requests in, each exactly once, and their sums with
                 them
costs            What usage costs: sums by period, tenant, key and adapter, each with the price that was valid then
documents        Answers of the tracker as documents for JSON and as rows of a table: the same over HTTP and from a
                 file
file             The tracker's SQLite file: opened for the one writer, or for readers beside it; its tables; its
                 errors in our words
focus            Costs as records of FOCUS, the FinOps Foundation's open form of cost and usage data, which tools for
                 finance import
latency_buckets  Latencies as counts in buckets, each a tenth longer than the one before: any number of them add up
                 exactly
live_view        The last minute of requests, for looking on: kept in a circular buffer in memory, whatever the file
                 does
outbox           What waits to be sent to the tracker, in the process that serves requests: bounded, and never waited
                 for
prices           Prices of tokens: a file of them, each valid from a day on, for everybody or for a tenant or an
                 adapter
questions        Questions to the tracker's file, and their answers: figures by tenant, key, adapter and time
request_rows     The requests themselves, read from the tracker's file one after another, for exports
sums             What a batch of requests adds to the sums by hour and by day: whole figures for each way in which
                 they are asked for
tables_out       Tables as CSV and as JSONL, for other programs: one line at a time, so that any number of rows goes
                 through
tracked          What one request leaves with the tracker: who asked, who answered, how it ended, its tokens and its
                 times
"""
