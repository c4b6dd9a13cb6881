"""One sequence being generated: its state, its next token, its text, its grammar.

Files:

advance                What a row becomes with its next token: longer, and perhaps finished
constraint             Constrained output: which tokens a grammar allows next, by the llguidance library
detokenizer            Token ids -> text, as it can be shown: never half a character, never text that may still become
                       a stop string
grammar_trial          A grammar of a stranger is built in a process of its own first: some take minutes, and nothing
                       else can end them
grammar_trial_process  The process in which `grammar_trial.py` has grammars built: one JSON text per line in, one
                       answer per line out
outcome                A row's events gathered into a `Completion`
replay                 A row is brought to where another engine left it, so that what follows is what would have
                       followed there
row                    A row: one sequence being generated, with everything that is its own
sampler                Logits -> the next token of each row
token_bytes            Tokens as bytes, by the tokenizer's own vocabulary: joined, those of an answer are its text
"""
