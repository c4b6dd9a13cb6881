"""Parts of other packages are found by name, imported when they are asked for, and named when they cannot be used."""

from __future__ import annotations

import sys

import pytest

from adaptrix_core.config import load_settings
from adaptrix_core.errors import ConfigError, ExtensionError, UnknownExtension
from adaptrix_core.extension_point import ExtensionPoint
from tests.outside_packages import GROUP, Install


def point(needs: tuple[str, ...] = ()) -> ExtensionPoint[object]:
    return ExtensionPoint(GROUP, "number", {"pi": "math:pi"}, needs)


def test_ours_and_theirs_are_found_by_name(install: Install) -> None:
    install("tau_package", "tau = 6.28", tau="tau", also="tau")
    numbers = point()
    assert numbers.names() == ("pi", "also", "tau")
    assert numbers.get("tau") == 6.28
    assert numbers.get("pi") == pytest.approx(3.14159, abs=1e-5)
    assert [origin.package for origin in numbers.origins("tau")] == ["tau_package 1.0"]


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install("late_package", "tau = 6.28", tau="tau")
    numbers = point()
    numbers.names(), numbers.origins("tau"), numbers.get("pi")
    assert "late_package" not in sys.modules
    numbers.get("tau")
    assert "late_package" in sys.modules


def test_a_name_that_nobody_has_is_refused_with_the_nearest(install: Install) -> None:
    install("tau_package", "tau = 6.28", tau="tau")
    with pytest.raises(UnknownExtension, match="no number 'taw'; did you mean 'tau'") as refused:
        point().get("taw")
    assert refused.value.code == "unknown_extension"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import not_there", "broken_package 1.0.*No module named 'not_there'"),
        ("1 / 0", "ZeroDivisionError"),
        ("other = 1", "broken_package 1.0.*cannot be imported: AttributeError"),
        ("tau = 6.28", "broken_package 1.0.*has no measure"),
    ],
)
def test_a_part_that_cannot_be_used_is_named_with_its_package(install: Install, source: str, told: str) -> None:
    install("broken_package", source, tau="tau")
    numbers = point(needs=("measure",))
    with pytest.raises(ExtensionError, match=told) as refused:
        numbers.get("tau")
    assert refused.value.code == "bad_extension"
    assert numbers.get("pi"), "others are as before"


def test_loading_all_ahead_tells_of_those_that_cannot_be_used(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("broken_package", "import not_there", tau="tau")
    install("good_package", "e = 2.718", e="e")
    point().load_all()
    assert "good_package" in sys.modules
    assert "broken_package 1.0" in caplog.text


def test_two_parts_of_one_name_are_refused_and_both_named(install: Install) -> None:
    install("one_package", "tau = 6.28", tau="tau")
    install("other_package", "tau = 6.3", tau="tau", pi="tau")
    for name, first in (("tau", "one_package"), ("pi", "adaptrix")):
        with pytest.raises(ExtensionError, match=f"{name}.*(?=.*{first}).*other_package 1.0.*uninstall all but one"):
            point().get(name)


def test_settings_name_installed_parts_only() -> None:
    with pytest.raises(ConfigError, match=r"extensions\.endpoint_groups names 'feedback': no such endpoint group"):
        load_settings({"extensions": {"endpoint_groups": ["feedback"]}})
