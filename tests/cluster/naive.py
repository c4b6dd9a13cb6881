"""One replica simulated the slow and obvious way, a step at a time, for comparison."""

from __future__ import annotations

from cluster.simulation.engine_model import EngineModel
from loadtest.workload import Arrival


def naive_run(engine: EngineModel, arrivals: list[Arrival]) -> list[tuple[float, float]]:
    """(first token, end) of each arrival on one replica that holds every adapter."""
    now, to_come = 0.0, list(arrivals)
    waiting: list[Arrival] = []
    prompt_left: dict[int, int] = {}
    output_left: dict[int, int] = {}
    first: dict[int, float] = {}
    end: dict[int, float] = {}
    by_index = {arrival.index: arrival for arrival in arrivals}
    while len(end) < len(arrivals):
        while to_come and to_come[0].at_s <= now:
            waiting.append(to_come.pop(0))
        decoding = list(output_left)
        room = engine.max_batch_tokens - len(decoding)
        if decoding:
            room = min(room, engine.mixed_prefill_tokens + len(decoding))
        planned: dict[int, int] = {}
        for index, left in prompt_left.items():
            planned[index] = min(room, left)
            room -= planned[index]
        joined = 0
        while waiting and len(prompt_left) + len(output_left) < engine.max_rows:
            size = waiting[0].prompt_tokens
            in_step = engine.max_batch_tokens - len(decoding) - sum(planned.values())
            fits_with_others = joined > 0 and joined + size <= 2 * engine.short_prompt_tokens and size <= in_step
            if room <= 0 and not (fits_with_others and size <= engine.short_prompt_tokens):
                break
            row = waiting.pop(0)
            prompt_left[row.index] = row.prompt_tokens
            is_short = row.prompt_tokens <= engine.short_prompt_tokens
            planned[row.index] = min(in_step if is_short else room, row.prompt_tokens)
            room -= planned[row.index]
            joined += row.prompt_tokens if is_short else 0
        if not decoding and not planned:
            now = to_come[0].at_s
            continue
        now += engine.step.seconds(len(decoding), sum(planned.values()))
        for index in decoding:
            output_left[index] -= 1
        for index, count in planned.items():
            prompt_left[index] -= count
            if prompt_left[index] == 0:
                del prompt_left[index]
                first[index] = now
                output_left[index] = by_index[index].output_tokens - 1
        for index in [index for index, left in output_left.items() if left == 0]:
            del output_left[index]
            end[index] = now
    return [(first[arrival.index], end[arrival.index]) for arrival in arrivals]
