"""The sandbox: code that nobody vouches for is run, and its values come back; nothing else does.

Files:

bubblewrap     Processes shut in by bubblewrap: namespaces of their own, few files, a filter of system calls
call           What a sandbox is asked, and what comes of it
exchange       One call handed to a process inside a sandbox, and its reply taken: within bounds of time and size
inside         The program inside a sandbox: reads one call, limits itself, runs the code, and writes one line of
               reply
limits         Limits of one process that runs foreign code, which it sets for itself before it reads any and cannot
               raise again
own_process    Code in a process of its own, without walls: for machines without bubblewrap, by somebody's decision
run            Runs a call in the sandbox that is asked for, or refuses: never in another
system_calls   The system calls that code in a sandbox may not make, as a program for the kernel's filter (seccomp)
visible_files  What a sandbox sees of the file system: shared libraries, the Python that runs, and the program inside
"""
