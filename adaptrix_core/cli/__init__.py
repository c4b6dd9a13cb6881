"""The `adaptrix` command: an edge that no other package imports.

Files:

errors               The one place where an error becomes text and an exit code
finite_number        Numbers on the command line: finite ones, inside a range where there is one
local                An engine in this process with the interface of a server; it starts when needed and ends with the
                     command
local_composition    An answer of the local engine under a composition: the text of its last step as it comes, earlier
                     steps beside it
local_routing        The router of a local engine: its decisions, and labels of them, which count for later commands
                     too
main                 Entry point of the `adaptrix` command: the group, its commands, logging
names                Names for shell completion: of a running server if one answers at once, else of the adapter
                     directory
options              Options that many commands share
output               Output of commands: results on stdout, for people or as one JSON document; notes, progress and
                     errors on stderr
remote               A running Adaptrix server, over its HTTP API
revocations_on_disk  The revocation list in a state directory on this machine, with the interface of a server: for
                     `revoke --local`
session              The shared options of one invocation of the command line: target, verbosity, settings
settings_file        Reads a settings file into Settings: the same `serve_config.yaml` that Ray Serve takes, or the
                     bare settings
target               The target of a command: a running server or a local engine, behind one interface
audit/               The audit log of a server: verified, and read
authoring/           Commands that make, import and measure adapters; they need no server
commands/            Commands that ask, serve and administer: a running server, or a local engine
confidence/          How sure an answer must be, and how sure it is: what the command line asks, and what it shows
conversation/        A conversation on the terminal: questions, answers, and commands that start with a slash
inspection/          What a mix of adapters changes inside the base model, shown on the terminal
keys/                API keys made, listed, rotated and ended, in the file that a server follows
logs/                The log of questions and answers on the command line, kept on this machine
usage/               Figures of requests on the command line, from a running server or from the tracker's file
"""
