"""Patterns of adapter files select what PEFT selects, and none of them can take a service's time."""

from __future__ import annotations

import json
import threading
import time

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from adaptrix_core.adapters import import_peft
from adaptrix_core.adapters.peft.config import parse_peft_config
from adaptrix_core.adapters.peft.patterns import MAX_PATTERNS, SECONDS
from adaptrix_core.adapters.peft.selection import PeftSelection
from adaptrix_core.errors import AdapterRejected
from tests.adapters.peft_directories import edit_config

PARTS = [*(f"self_attn.{name}_proj" for name in "qkvo"), *(f"mlp.{name}_proj" for name in ("gate", "up", "down"))]
NAMES = [*(f"model.layers.{layer}.{part}" for layer in range(12) for part in PARTS), "lm_head"]

EXPRESSIONS = {
    "lookahead": r"^(?!.*(?:visual|vision_tower|lm_head)).*(?:q_proj|up_proj).*$",
    "lookahead in the middle": r"^(model(?=\.).*\.(up_proj|v_proj|o_proj))$",
    "lookbehind": r".*(?<=layers\.)[3-7]\..*",
    "back reference": r"model\.layers\.(\d)\1\..*",
    "conditional": r"(model\.)?(?(1)layers\..*|lm_head)",
    "alternatives that nest": r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:k_proj|q_proj).*?)"
    r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|mlp)\.(?:(?:k_proj|q_proj|down_proj)))",
    "a range of layers": r"model\.layers\.(1[0-1]|[2-4])\.(self_attn|mlp)\.(q|k|gate|down)_proj",
    "inline flag": r"(?i).*Q_PROJ",
    "verbose": "(?x) .* q_proj  # the queries",
    "a repeated group": r"(model|layers|\d+|\.|self_attn)+\.?q_proj",
    "an optional group": r"(.*\.)?(q_proj|v_proj)",
    "possessive": r".*+",
    "many names": "|".join(name.replace(".", r"\.") for name in NAMES[::2]),
    # These mean something else in other libraries.
    "a class within a class": r"[[:alpha:]\.\w]+q_proj",
    "braces that count nothing": r"(?:.*q_proj){e<=1}",
    "empty": "",
}


def selection(**fields: object) -> PeftSelection:
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, **fields}
    return PeftSelection(parse_peft_config(json.dumps(config).encode(), "x"), NAMES, "lm_head", "x")


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
def test_an_expression_selects_what_it_selects_in_peft(name: str) -> None:
    expression = EXPRESSIONS[name]
    wanted = LoraConfig(target_modules=expression)
    assert selection(target_modules=expression).targets() == {n for n in NAMES if check_target_module_exists(wanted, n)}
    excluding = LoraConfig(target_modules=["q_proj", "up_proj", "lm_head"], exclude_modules=expression)
    chosen = {n for n in NAMES if check_target_module_exists(excluding, n) is True}
    assert selection(target_modules=["q_proj", "up_proj", "lm_head"], exclude_modules=expression).targets() == chosen


@pytest.mark.parametrize("keys", [["q_proj", "v_proj"], [r"layers\.[2-5]\..*", "down_proj"], [r"(?:.*7)\.mlp\.\w+"]])
def test_ranks_and_alphas_follow_the_first_pattern_that_matches_as_in_peft(keys: list[str]) -> None:
    ranks = {key: 2**index for index, key in enumerate(keys)}
    ours = selection(rank_pattern=ranks, alpha_pattern={keys[-1]: 48})
    for name in NAMES:
        rank = ranks.get(get_pattern_key(list(ranks), name), 4)
        alpha = 48 if get_pattern_key([keys[-1]], name) == keys[-1] else 8
        assert ours.rank_of(name) == rank
        assert ours.scaling_of(name) == pytest.approx(alpha / rank)


@pytest.mark.parametrize("pattern", ["layers", r"(mo)?del\.(layers)", ["nothing", "layers"], None])
def test_layers_are_found_by_pattern_as_in_peft(pattern: str | list[str] | None) -> None:
    config = LoraConfig(target_modules=["q_proj"], layers_to_transform=[3, 10], layers_pattern=pattern)
    chosen = {n for n in NAMES if check_target_module_exists(config, n)}
    fields = {"target_modules": ["q_proj"], "layers_to_transform": [3, 10], "layers_pattern": pattern}
    assert selection(**fields).targets() == chosen != set()


COSTLY = r"([\w.]+|z)+!"
FIELDS = {
    "target_modules": {"target_modules": COSTLY},
    "exclude_modules": {"exclude_modules": COSTLY},
    "rank_pattern": {"rank_pattern": {COSTLY: 4}},
    "alpha_pattern": {"alpha_pattern": {COSTLY: 4}},
    "layers_pattern": {"layers_pattern": [COSTLY], "layers_to_transform": [1, 2]},
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_costly_pattern_is_refused_by_name_at_little_cost_to_this_process(plain, base, field: str) -> None:
    edit_config(plain, **FIELDS[field])
    before = time.process_time()
    with pytest.raises(AdapterRejected) as refused:
        import_peft(plain, base, "x")
    assert time.process_time() - before < 1.0
    assert refused.value.code == "bad_peft"
    for part in (field, COSTLY[:8].replace("\\", "\\\\"), f"{SECONDS} s", "a list of module names"):
        assert part in refused.value.message


def test_other_threads_go_on_while_a_pattern_is_matched(plain, base) -> None:
    edit_config(plain, target_modules=COSTLY)
    gaps, done = [0.0], threading.Event()

    def run() -> None:
        last = time.monotonic()
        while not done.wait(0.001):
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    thread = threading.Thread(target=run)
    thread.start()
    with pytest.raises(AdapterRejected):
        import_peft(plain, base, "x")
    done.set()
    thread.join()
    assert len(gaps) > 100
    assert max(gaps) < 0.5


def test_the_budget_is_the_adapters_and_not_one_patterns() -> None:
    each = r"(\w|\w){17}!"  # a tenth of a second or so, on 85 names
    fields = {"peft_type": "LORA", "rank_pattern": {each + "x" * i: 2 for i in range(1000)}}
    config = parse_peft_config(json.dumps(fields).encode(), "x")
    started = time.monotonic()
    with pytest.raises(AdapterRejected, match="too costly"):
        PeftSelection(config, ["a" * 30 for _ in NAMES], "", "x")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rank_pattern": {f"m{i}": 2 for i in range(MAX_PATTERNS + 1)}}, str(MAX_PATTERNS)),
        ({"target_modules": "(" * 5000 + ")" * 5000}, "not a regular expression"),
        ({"target_modules": "*"}, "not a regular expression"),
        ({"lora_alpha": 10**400}, "alpha"),
        ({"r": 10**4000}, "rank"),
    ],
    ids=["many", "deep", "broken", "alpha", "rank"],
)
def test_no_text_of_a_config_is_an_error_of_another_kind_or_a_long_message(plain, base, fields, said) -> None:
    edit_config(plain, **fields)
    with pytest.raises(AdapterRejected, match=said) as refused:
        import_peft(plain, base, "x")
    assert refused.value.code == "bad_peft"
    assert len(refused.value.message) < 1000


def test_a_list_of_many_names_costs_no_more_than_a_short_one(plain, base) -> None:
    edit_config(plain, target_modules=["q_proj", *(f"n{i}" for i in range(60_000))], layers_to_transform=None)
    before = time.process_time()
    with pytest.raises(AdapterRejected, match="without tensors"):
        import_peft(plain, base, "x")
    assert time.process_time() - before < 5.0
