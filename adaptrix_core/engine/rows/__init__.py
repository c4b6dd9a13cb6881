"""One sequence being generated: its state, its next token, its text, its grammar.

Files:

advance                Appends a row's next token and decides whether the row ends with it
call_grammar           The grammar of an answer that may call functions: what follows a call's opening is a call, with
                       valid arguments
constraint             Constrained output: which tokens a grammar allows next, by the llguidance library
detokenizer            Token ids -> text that can be shown: never half a character, never the beginning of a possible
                       stop string
grammar_trial          Builds a caller's grammar in a process of its own first: some take minutes, and only a process
                       can be ended
grammar_trial_process  The process that builds grammars for `grammar_trial.py`: one JSON text per line in, one answer
                       per line out
outcome                A row's events gathered into a `Completion`
output_form            Output forms: what the text of an answer must look like, and the grammar that holds it to that
prompt_logprobs        Log-probabilities of a prompt's own tokens, collected chunk by chunk while it is computed
replay                 Puts a new row into the state that another engine left it in, so that it continues with the
                       same tokens
row                    A row: one sequence being generated, with everything that is its own
sampler                Logits -> the next token of each row
token_bytes            Tokens as bytes, by the tokenizer's own vocabulary; the bytes of an answer, joined, are its
                       text
token_mask             Tokens that a row may not choose: those outside ``allowed_token_ids``, bad words, and ends that
                       would come too early
"""
