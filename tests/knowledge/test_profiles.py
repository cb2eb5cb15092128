"""Profiles: one setting chooses the numbers, a site changes single ones, and the hash covers both."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.knowledge import KnowledgeError, bundled_rules, load_knowledge

PROFILES = sorted(path.stem for path in (bundled_rules() / "profiles").glob("*.yaml"))
ADULT = ("calcium-average-requirement", "calcium-reference-intake", "calcium-upper-limit")
YOUNG = tuple(f"{name}-adolescent" for name in ADULT)


def test_the_profiles_of_the_catalogue_are_there() -> None:
    assert PROFILES == ["cn", "seed", "uk", "us", "who"]


@pytest.mark.parametrize(
    ("profile", "adult", "young"),
    [
        ("seed", (800, 1200, 2500), (1100, 1300, 3000)),
        ("us", (800, 1000, 2500), (1100, 1300, 3000)),
        ("cn", (810, 1000, 2000), (1100, 1300, 2000)),
        ("uk", (800, 1200, 2500), (1100, 1300, 3000)),
        ("who", (800, 1200, 3000), (1100, 1300, 3000)),
    ],
)
def test_each_profile_has_requirement_reference_and_upper_limit_for_both_ages(
    profile: str, adult: tuple[int, ...], young: tuple[int, ...]
) -> None:
    base = load_knowledge(profile=profile)
    assert tuple(base.number(name) for name in ADULT) == adult
    assert tuple(base.number(name) for name in YOUNG) == young


def test_only_the_who_profile_is_for_a_population_with_low_intake() -> None:
    flags = {profile: load_knowledge(profile=profile).flags["population-low-calcium"] for profile in PROFILES}
    assert flags == {"cn": False, "seed": False, "uk": False, "us": False, "who": True}


def test_every_profile_sets_the_same_flags() -> None:
    assert len({frozenset(load_knowledge(profile=profile).flags) for profile in PROFILES}) == 1


def test_each_profile_has_a_hash_of_its_own() -> None:
    assert len({load_knowledge(profile=profile).hash for profile in PROFILES}) == len(PROFILES)


def _site(tmp_path: Path, name: str, value: int) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(
        f"title: Test site\nthresholds:\n  {name}:\n    value: {value}\n    unit: mg/d\n    catalogue: local\n"
        "    confidence: DESIGN\n    evidence: [{source: local-policy}]\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("profile", PROFILES)
def test_a_site_changes_one_number_of_any_profile_and_the_hash_with_it(tmp_path: Path, profile: str) -> None:
    plain = load_knowledge(profile=profile)
    changed = load_knowledge(site_file=_site(tmp_path, "calcium-upper-limit", 1900), profile=profile)
    assert changed.number("calcium-upper-limit") == 1900
    assert changed.hash != plain.hash
    others = [name for name in plain.thresholds if name != "calcium-upper-limit"]
    assert all(changed.number(name) == plain.number(name) for name in others)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("calcium-upper-limit", 1200, "'calcium-reference-intake' (1200 mg/day) must be below 'calcium-upper-limit'"),
        ("calcium-average-requirement", 1200, "'calcium-average-requirement' (1200 mg/day) must be below"),
        ("calcium-average-requirement-adolescent", 700, "must be at most 'calcium-average-requirement-adolescent'"),
        ("calcium-reference-intake-adolescent", 3000, "must be below 'calcium-upper-limit-adolescent' (3000 mg/day)"),
    ],
)
def test_intake_numbers_out_of_order_are_refused(tmp_path: Path, name: str, value: int, problem: str) -> None:
    with pytest.raises(KnowledgeError) as refused:
        load_knowledge(site_file=_site(tmp_path, name, value))
    assert problem in str(refused.value)


def test_the_reference_of_adolescents_may_equal_that_of_adults(tmp_path: Path) -> None:
    base = load_knowledge(site_file=_site(tmp_path, "calcium-reference-intake-adolescent", 1200))
    assert base.number("calcium-reference-intake") == base.number("calcium-reference-intake-adolescent")
