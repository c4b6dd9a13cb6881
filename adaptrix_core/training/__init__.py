"""Train adapters on the frozen base model, and measure how good they are.

Files:

config       What a training run needs to know, checked before anything is loaded
provenance   What is written down of a training's origins: enough to do it again, nothing of where it was done
publish      Turn a finished run into the adapter directory that is served: bf16 weights, metadata, signature
result       What a run leaves behind: its steps, its losses, and the file that says so (``training.json``)
run          From a `TrainConfig` to a trained adapter: check, read the data, load the base, train, report
run_report   What a run says of itself, for people: ``README.md`` in its directory, and the loss curve as a picture
trainer      Train LoRA weights on chosen layers of a frozen base model
trunk        The frozen layers below the first trained one: computed once per example, reused in later epochs
evaluation/  How good adapters are: suites of problems and people's own examples, asked, marked and reported
examples/    What an adapter is trained on: pairs of texts, read, held out, encoded and packed
tasks/       Generated problems with exact answers, by task, and the families of tasks that adapters learn
"""
