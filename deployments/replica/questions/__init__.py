"""Questions that decide by themselves who begins their answer: read at the cut of one replica, without a router.

Files:

asked_question  One call whose question decides who begins its answer, and what the ingress is told of that
reading         Reads what the questions of one replica's calls are about, by probes of the adapters that are asked
                about
"""
