"""Where adapters come from: directories, URLs and the hub, read alike.

Files:

hub       Directories in repositories of the Hugging Face Hub: ``hub://org/name[/directory][@revision]``
local     Directories of the local file system
opening   Opens a location by the source that its scheme names: one of `extensions.ADAPTER_SOURCES`, or else fsspec
protocol  What a source of adapters must be able to do: open a location, list and read the directories there
url       Directories behind a URL (s3://, gs://, https://, memory://, …), read through fsspec
"""
