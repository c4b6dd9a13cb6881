"""What is sent for a batch, in OpenAI's form.

Files:

line     A line of the input of a batch
request  The request that makes a batch
"""
