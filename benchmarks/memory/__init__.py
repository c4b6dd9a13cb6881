"""Measures the memory of conversations: recall of facts told long ago, and conversations that change their topic.

Files:

answers        Recall in answers: what is answered to the question for a fact that was told sixty turns ago
bars           How clear is what a question asks for? The choice of the relevance from which a turn comes back
conversations  Generated conversations with a fact, sixty turns of other topics, and a question for the fact
recall         Recall of facts: each conversation held turn by turn under a budget of tokens, and then asked for its
               fact
served_topics  The scripted conversations of three topics held with a served system: who answers each turn of `auto`
summaries      Summaries of what prompts leave out, as `Conversation` has them written: one each time that more is
               left out
topics         Conversations of three topics, and back: who answers each turn, and whether its prompt holds what it
               needs
"""
