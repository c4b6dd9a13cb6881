"""The audit log of a server: verified, and read.

Files:

command  `audit`: verify the audit log of a server, and look something up in it
"""
