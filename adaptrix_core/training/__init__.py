"""Train adapters on the frozen base model, and measure how good they are.

Files:

config        The settings of a training run, checked before anything is loaded
provenance    The recorded provenance of a training: enough to repeat it, nothing about the machine
publish       Turns a finished run into the adapter directory that is served: bf16 weights, metadata, signature
result        The result of a run: its steps and losses, and their file (``training.json``)
run           Runs a training from its `TrainConfig`: checks, reads the data, loads the base, trains, reports
run_report    A run's report for people: ``README.md`` in its directory, and the loss curve as a picture
trainer       Trains LoRA weights on chosen layers of a frozen base model
trunk         The frozen layers below the first trained one: computed once per example, reused in later epochs
calibration/  Calibrates confidence: answers collected and marked, a probability fitted to their scores, and how good
              it is
evaluation/   Measures the quality of adapters: suites of problems and users' own examples, asked, marked and reported
examples/     Training examples: pairs of texts, read, held out, encoded and packed
gates/        Gates over adapters that stay as they are, trained on a few hundred examples
tasks/        Generated problems with exact answers, by task, and the families of tasks that adapters learn
"""
