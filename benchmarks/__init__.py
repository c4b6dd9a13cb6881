"""Measurements: each one prints a table for people and ends with one line of JSON for programs.

Files:

compare        Output tokens per second: the engine, transformers, PEFT's mixed batch, llama.cpp and OpenVINO GenAI,
               in one run
human_eval     HumanEval (Chen et al., arXiv:2107.03374) of the base model and of an adapter: pass@1, greedy
layer_cost     What the HTTP service costs over the bare engine: throughput, first token, each token, and `auto`
layers         Where to put the adapted layers: the same short training at several placements, compared by held-out
               loss
many_adapters  Throughput with a thousand registered adapters of which 32 fit on the device, on S-LoRA's request
               generator
masks          What a grammar costs: the milliseconds that one row's grammar adds to a step, for itself and for the
               rows beside it
passes         What each pass of the engine brings: throughput without it and with it, everything else equal
plots          Plots of saved measurements: throughput over rows, and over the number of adapters
quality        What a layout of the weights costs: perplexity and greedy agreement against the plain model
roofline       What this machine allows: memory bandwidth, matrix rate, and how fast each layout could go at best
sandbox        What a call in a sandbox costs: a function of one line, in each kind of sandbox in turns, in
               milliseconds
sharing        What sharing the trunk saves: forks, a new mix on a known prompt, and the twentieth turn of a
               conversation
stall          How long running streams wait for their next token while a long prompt arrives
start          From a fresh process to the first token: seconds and memory, with disk and caches warm
swap           How long an adapter takes from host memory to the device, and from disk to host memory with its
               signature checked
composition/   Composition: questions that need two adapters, and what adapters do to each other
confidence/    How well estimators of confidence tell right answers from wrong ones: all that are built in, and some
               that cost more
context/       How far adapters move the base model's context, and what anchoring them costs
harness/       What benchmarks share: systems under comparison, work, turns, intervals, reports
memory/        Measures the memory of conversations: recall of facts told long ago, and conversations that change
               their topic
observe/       What observing costs
routing/       The router measured: held-out prompts, its signals alone and together, many adapters, and feedback
service/       Measurements of the service over HTTP and of its processes
trunk/         Routing from the trunk beside the embedder: how often it is right, from how few examples, and what it
               costs
"""
