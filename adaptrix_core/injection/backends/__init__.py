"""Backends of the LoRA sum: plain torch, Triton kernels, native kernels.

Files:

gated           Terms under gates, in plain torch: the weights of each token at a point, and the updates with them
native          Adapters for the native kernels: banks in the kernels' arrangement, and each step's list of terms
native_gates    Gates for the native kernels: each step's list of gates, and the terms whose weights they write
native_runs     A step's tokens for the native kernels: runs of consecutive tokens under one mix
plain           The plain LoRA backend: the adapters' own tensors, and `apply_terms` over the tokens of each term
protocol        The protocol of a LoRA backend: it holds adapters on the device, groups a step's tokens, adds the
                updates
token_groups    A step's tokens, grouped by mix: what a batched LoRA kernel reads instead of one mix per token
triton          The LoRA backend for CUDA devices: slots in a table of addresses, steps as one upload, the sums in
                Triton kernels
triton_kernels  Triton kernels for the LoRA sum over tokens grouped by mix: shrink (`A x`) and expand (`+= B (A x)`)
"""
