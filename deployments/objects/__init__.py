"""The store of objects that belong to tenants: kept on disk, found by their owner only, held to quotas.

Files:

batch           A batch as it is kept and handed between processes: what was asked for, how far it is, and where its
                answers are
batch_ledger    The ledger of batches: what is asked of the server, how far it is, and every answer, written once
batch_lines     The lines of batches that run, in the database: where each stands in the input, and its answer,
                written once
contents        Contents of objects as files: written in parts beside their place, put there in one step, read in
                parts
database        The SQLite file of the store of objects: opened by one process at a time, every commit on the disk
keeper          The one thread that works on the files of the store of objects, and the parts that it works with
records         The records of the store of tenants' objects, in the form in which they cross processes
table           The objects of tenants in the database: kept and found by owner, held to quotas, expired
tenant_objects  The store of objects that belong to tenants: responses, conversations, files, batches
uploads         Uploads on their way: contents that arrive in parts, counted against the limits while they do
"""
