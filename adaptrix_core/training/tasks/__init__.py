"""Generated problems with exact answers, by task, and the families of tasks that adapters learn.

Files:

code          Short Python functions, drafted from a grammar of operations and checked by running them
code_grammar  The grammar that short Python functions are drafted from: operations, their wordings and their code
families      The task families that adapters are trained for, and their held-out problems
logic         Riddles in words: who is whose relative, what follows from two statements, who has how many sisters
math          Arithmetic in words: sums, one-unknown equations, legs of animals
problem       The record of a problem, and the protocol of a task
shifted/      Problems unlike those of training, with exact answers: freely worded ones, and harder ones
tool_use/     The family ``tool_use``: conversations in which functions help, or don't, drawn from skills
"""
