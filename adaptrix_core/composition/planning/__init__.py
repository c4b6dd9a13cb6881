"""How a question that asks for several things in a row becomes steps, and how answers are passed on.

Files:

arithmetic  What is to be done with an earlier answer: "add 5 to it", "take 3 away from the result", "double that"
asking      Which sentences ask for something: questions, and imperatives whose verb wants an answer ("work out",
            "find")
joints      The places where a question may divide: between sentences, and at "then" inside of one
nested      Questions inside of another: "Add 5 to the number of legs that 3 dogs have", "as many sisters as 3 dogs
            have legs"
numbering   Steps that a question numbers itself, by digits, by letters, or as "step 1" and "step 2"
plan        A plan: the questions of its steps, in order, with places for the answers of earlier steps
planner     Divides a question that asks for several things in a row into a plan, by rules of grammar
references  Words that stand for the answer of an earlier step: "the result", "that many", "the answer of step 1"
rewriting   Questions whose order of words hides the order of their steps: "Once you have found A, do B", or one
            inside one
"""
