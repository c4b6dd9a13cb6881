"""Trains LoRA weights on chosen layers of a frozen base model.

PEFT holds the adapters, transformers runs the layers; the loss covers answer tokens only, logits are computed for those
tokens only, the frozen trunk runs once per example (`trunk.py`), and examples are packed without padding
(`training/examples/packing.py`). A run that is killed resumes from its last checkpoint and takes the same steps as an
uninterrupted one, up to rounding.

Knows examples, steps and checkpoints. Does not know tasks (see `tasks/`), files of examples (see
`training/examples/datasets.py`), or the adapter directory (see `publish.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from adaptrix_core.base import BaseModel
from adaptrix_core.errors import AdaptrixError, ConfigError, TrainingStopped
from adaptrix_core.training.config import TrainConfig, resolve_layers
from adaptrix_core.training.examples.packing import Example, Pack, batches, common_prefix, micro_batches, pack
from adaptrix_core.training.result import WEIGHTS, TrainingStep, TrainResult, Validation, finished_run, write_history
from adaptrix_core.training.trunk import TrunkCache
from adaptrix_core.writable import why_not_writable

CHECKPOINT = "checkpoint.pt"


def train_examples(
    base: BaseModel,
    examples: Sequence[Example],
    config: TrainConfig,
    on_step: Callable[[TrainingStep, int], None] = lambda step, total: None,
    *,
    held_out: Sequence[Example] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train on ``examples``; the PEFT adapter and ``training.json`` end up in ``config.output_dir``.

    held_out: never trained on; their loss is taken before the first step and after every epoch. A run that is finished
    there already, with these data and settings, is returned as it is. ``on_step`` is called after every step with the
    step and the number of steps in all; an exception from it stops the run (the last checkpoint stays, and the next
    call with the same settings goes on from there). ``should_stop`` is asked between steps: a run that is to stop
    keeps every step that it has taken and raises TrainingStopped.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    config.output_dir.mkdir(parents=True, exist_ok=True)
    run = _Run(base, examples, config, held_out)
    try:
        finished = run.finished()
        if finished is not None:
            return finished
        run.check_room()
        while run.next_step < run.total_steps:
            run.validate_if_due()
            if should_stop():
                run.checkpoint()
                raise TrainingStopped(
                    f"{config.name} stopped after {run.next_step} of {run.total_steps} steps; all of them are kept in "
                    f"{config.output_dir}: the same command goes on from there"
                )
            on_step(run.step(), run.total_steps)
        return run.finish()
    finally:
        run.detach()


def answer_loss(model: nn.Module, packed: Pack) -> Tensor:
    """Sum of the cross entropies, in nats, of a pack's answer tokens."""
    return answer_losses(model, packed).sum()


def answer_losses(model: nn.Module, packed: Pack) -> Tensor:
    """Cross entropies, in nats, of a pack's answer tokens, in order; logits are computed for those only."""
    logits = model(
        input_ids=packed.token_ids,
        attention_mask=packed.mask,
        position_ids=packed.positions,
        use_cache=False,
        logits_to_keep=packed.predictors,
    ).logits
    return nn.functional.cross_entropy(logits[0].float(), packed.targets, reduction="none")


class _Run:
    """The state of one run: model with adapters, optimiser, schedule, order of batches, history."""

    def __init__(
        self, base: BaseModel, examples: Sequence[Example], config: TrainConfig, held_out: Sequence[Example]
    ) -> None:
        self._base, self._config, self._examples, self._held_out = base, config, examples, held_out
        self._layers = resolve_layers(config.layers, base.info.num_layers)
        torch.manual_seed(config.seed)
        self._peft = _with_adapters(base, config, self._layers)
        self._model = self._peft.get_base_model()
        if config.gradient_checkpointing:
            self._model.gradient_checkpointing_enable({"use_reentrant": False})
            self._model.train()
        self._weights = [p for p in self._peft.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=config.learning_rate, weight_decay=config.weight_decay)
        self._trunk = TrunkCache(self._model, _decoder_layers(self._model, base.info.num_layers), self._layers[0])
        self._prefix = common_prefix([*examples, *held_out])
        _check_window(base, [*examples, *held_out])
        self._steps_per_epoch = math.ceil(len(examples) / config.batch_size)
        self.total_steps = max(1, round(self._steps_per_epoch * config.epochs))
        self.steps: list[TrainingStep] = []
        self._validation: list[Validation] = []
        self._first_step = 0
        self._epoch: tuple[int, list[list[Example]]] = (-1, [])
        self._resume()

    @property
    def next_step(self) -> int:
        """Number of the step that comes next, from 0."""
        return len(self.steps)

    def step(self) -> TrainingStep:
        """One optimiser step over one batch; a checkpoint every so many."""
        started = time.perf_counter()
        number = self.next_step
        rate = self._learning_rate(number)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = self._batch(number)
        answer_tokens = sum(example.answer_length for example in batch)
        loss = 0.0
        for part in micro_batches(batch, self._prefix, self._config.pack_tokens):
            part_loss = self._loss(pack(part, self._prefix)) / answer_tokens
            part_loss.backward()
            loss += part_loss.item()
        if not math.isfinite(loss):
            raise AdaptrixError(
                f"the loss of step {number + 1} is {loss}: the training has diverged; train with a learning_rate below "
                f"{self._config.learning_rate:g}, in another output directory or without {CHECKPOINT} in this one",
                code="training_diverged",
            )
        nn.utils.clip_grad_norm_(self._weights, self._config.max_gradient_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        done = TrainingStep(number, loss, rate, time.perf_counter() - started)
        self.steps.append(done)
        if self.next_step % self._config.checkpoint_every == 0:
            self.checkpoint()
        return done

    def validate_if_due(self) -> None:
        """Take the loss on the held-out examples before the first step, after each epoch, and at the end."""
        done = self.next_step
        due = done % self._steps_per_epoch == 0 or done == self.total_steps
        if self._held_out and due and (not self._validation or self._validation[-1].steps != done):
            self._validation.append(Validation(done, self._held_out_loss()))

    def finished(self) -> TrainResult | None:
        """The result of this same run, if it has ended before; else None."""
        if self.steps:
            return None
        return finished_run(self._config.output_dir, self._fingerprint(), self.total_steps)

    def check_room(self) -> None:
        """Raise ConfigError where the disk cannot take the adapter and two checkpoints."""
        adapter = sum(p.numel() * p.element_size() for p in self._weights)
        # A checkpoint holds the weights and AdamW's two moments; the new one is written beside the old one.
        fault = why_not_writable(self._config.output_dir, adapter * (1 + 2 * 3))
        if fault is not None:
            raise ConfigError([f"output_dir: {fault}"])

    def finish(self) -> TrainResult:
        """Write the adapter in PEFT's format and the history; drop the checkpoint."""
        self.validate_if_due()
        directory = self._config.output_dir
        # The base by its public name: its path on this machine must not be published.
        self._peft.peft_config["default"].base_model_name_or_path = self._base.info.lineage
        self._peft.save_pretrained(str(directory), save_embedding_layers=False)
        result = TrainResult(
            directory=directory,
            steps=tuple(self.steps),
            layers=self._layers,
            trainable_parameters=sum(p.numel() for p in self._weights),
            trunk_layer_tokens=self._trunk.computed,
            trunk_layer_tokens_reused=self._trunk.reused,
            trunk_seconds=self._trunk.seconds,
            trunk_seconds_saved=self._trunk.seconds_saved,
            validation=tuple(self._validation),
            num_examples=len(self._examples),
            num_held_out=len(self._held_out),
            first_step=self._first_step,
        )
        write_history(result, self._fingerprint())
        (directory / CHECKPOINT).unlink(missing_ok=True)
        return result

    def detach(self) -> None:
        """Leave the base model as it was before the run."""
        if self._config.gradient_checkpointing:
            self._model.gradient_checkpointing_disable()
        self._peft.unload()
        self._model.eval().requires_grad_(False)

    def _loss(self, packed: Pack) -> Tensor:
        """Sum of the answer tokens' cross entropies."""
        reuse = self._config.reuse_trunk and self._layers[0] > 0
        with self._trunk.skipped(self._trunk.states(packed)) if reuse else nullcontext():
            return answer_loss(self._model, packed)

    def _held_out_loss(self) -> float:
        """Mean over the answer tokens of the held-out examples, without dropout or gradients."""
        total = 0.0
        training = self._model.training
        self._model.eval()
        with torch.no_grad():
            for part in micro_batches(self._held_out, self._prefix, self._config.pack_tokens):
                total += self._loss(pack(part, self._prefix)).item()
        self._model.train(training)
        return total / sum(example.answer_length for example in self._held_out)

    def _learning_rate(self, number: int) -> float:
        """Linear warm-up, then a cosine down to a twentieth."""
        warmup = max(1, round(self.total_steps * self._config.warmup_fraction))
        if number < warmup:
            return self._config.learning_rate * (number + 1) / warmup
        progress = (number - warmup) / max(1, self.total_steps - warmup)
        return self._config.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))

    def _batch(self, number: int) -> list[Example]:
        epoch, place = divmod(number, self._steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, batches(self._examples, self._config.batch_size, self._config.seed, epoch))
        return self._epoch[1][place]

    def _fingerprint(self) -> str:
        """Hash of all that must agree for a run to be continued: base, data, and settings that change the steps."""
        free = ("output_dir", "threads", "checkpoint_every", "epochs", "examples", "held_out", "data", "base_model")
        settings = {k: v for k, v in asdict(self._config).items() if k not in (*free, "init_from", "alpha")}
        settings |= {"alpha": self._config.lora_alpha, "base": self._base.info.digest}
        if self._config.init_from is not None:
            settings["init_from"] = hashlib.sha256((self._config.init_from / WEIGHTS).read_bytes()).hexdigest()
        data = repr([[example.token_ids for example in part] for part in (self._examples, self._held_out)])
        return hashlib.sha256(f"{json.dumps(settings, sort_keys=True)}\n{data}".encode()).hexdigest()

    def checkpoint(self) -> None:
        """Write a checkpoint of everything that the next step needs."""
        path = self._config.output_dir / CHECKPOINT
        state = {
            "fingerprint": self._fingerprint(),
            "weights": [p.detach() for p in self._weights],
            "optimizer": self._optimizer.state_dict(),
            "steps": [asdict(step) for step in self.steps],
            "validation": [asdict(entry) for entry in self._validation],
        }
        # Written beside and renamed over, so that a kill leaves the old checkpoint or the new one.
        try:
            torch.save(state, path.with_suffix(".new"))
            os.replace(path.with_suffix(".new"), path)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError for a full disk
            path.with_suffix(".new").unlink(missing_ok=True)
            raise AdaptrixError(
                f"no checkpoint could be written to {path.parent} after {self.next_step} steps ({error}); make room, "
                "and give the same command again: it goes on from the checkpoint before",
                code="checkpoint_failed",
            ) from error

    def _resume(self) -> None:
        path = self._config.output_dir / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["fingerprint"] != self._fingerprint():
            raise ConfigError(
                [
                    f"output_dir = {self._config.output_dir}: holds {CHECKPOINT} of a run with other settings or data; "
                    "delete that file, or choose another directory"
                ]
            )
        with torch.no_grad():
            for weight, kept in zip(self._weights, state["weights"], strict=True):
                weight.copy_(kept)
        self._optimizer.load_state_dict(state["optimizer"])
        self.steps = [TrainingStep(**step) for step in state["steps"]]
        self._validation = [Validation(**entry) for entry in state["validation"]]
        self._first_step = self.next_step


def _with_adapters(base: BaseModel, config: TrainConfig, layers: tuple[int, ...]) -> PeftModel:
    paths = {
        base.points[point].module_path for point in base.points if point[0] in layers and point[1] in config.modules
    }
    if not paths:
        raise ConfigError(
            [f"modules {', '.join(config.modules)}: the base model has none of them in layers {list(layers)}"]
        )
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.lora_alpha,
        target_modules=sorted(path.rsplit(".", 1)[-1] for path in paths),
        layers_to_transform=list(layers),
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is to go
        peft = get_peft_model(base.module, lora)
    if config.init_from is not None:
        _start_from(peft, config.init_from)
    return peft


def _start_from(peft: PeftModel, directory: Path) -> None:
    """Copy an earlier run's weights in; ConfigError unless it has the same layers, modules and rank."""
    earlier = load_file(directory / WEIGHTS)
    own = get_peft_model_state_dict(peft)
    if {name: t.shape for name, t in earlier.items()} != {name: t.shape for name, t in own.items()}:
        peft.unload()
        raise ConfigError([f"init_from is {directory.name}: that adapter has other layers, modules or rank"])
    set_peft_model_state_dict(peft, earlier)


def _check_window(base: BaseModel, examples: Sequence[Example]) -> None:
    """Raise unless every example fits into the sliding window: a pack's mask has none, which is exact only then."""
    window = getattr(base.module.config, "sliding_window", None)
    longest = max(len(example.token_ids) for example in examples)
    if window is not None and longest > window:
        raise ConfigError(
            [
                f"an example has {longest} tokens, the base model's attention window is {window}: "
                f"set max_tokens_per_example to {window} or less"
            ]
        )


def _decoder_layers(model: nn.Module, depth: int) -> nn.ModuleList:
    return next(m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth)
