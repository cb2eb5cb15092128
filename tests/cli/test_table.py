"""`prenatal-cds table`: what clinicians sign is all that the rules say."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest

from cds.assurance.document import to_html, to_markdown
from cds.assurance.table import REST, decision_tables, sign_offs
from cds.assurance.words import filled
from cds.knowledge import KnowledgeBase, check
from cds.knowledge.model import Activity, Advice, CardText, Modification, SuggestionRule, Variant
from tests.assurance.test_document import read_html, read_markdown, words
from tests.cli.conftest import NOW, Cli
from tests.knowledge.small_rules import Rules

FORMS = ["markdown", "html", "print"]


def shown(text: str, form: str) -> str:
    """A printout as its reader sees it, without marks and line ends."""
    page = read_markdown(text) if form == "markdown" else read_html(text)
    return words(" ".join(page.text))


@pytest.fixture(scope="module", params=FORMS)
def printed(request: pytest.FixtureRequest, knowledge: KnowledgeBase) -> str:
    """The whole printout of the bundled rules, as read."""
    document = decision_tables(knowledge, date(2026, 11, 22))
    if request.param == "markdown":
        return shown(to_markdown(document), request.param)
    return shown(to_html(document, printed=request.param == "print"), request.param)


def test_the_verb_prints_just_that(cli: Cli, knowledge: KnowledgeBase) -> None:
    ended = cli("table", "--format", "print", "--now", NOW)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == to_html(decision_tables(knowledge, date(2026, 11, 22)), printed=True)


def test_every_rule_with_its_card_and_variants_is_printed(printed: str, knowledge: KnowledgeBase) -> None:
    for rule in knowledge.rules:
        texts = [rule.title, f"{rule.id} {rule.version}", f"catalogue {rule.catalogue}", rule.caution]
        texts += [row.supports for row in rule.evidence]
        if rule.then is not None:
            forms: list[CardText | Variant] = [*([rule.then.card] if rule.then.card else []), *rule.then.variants]
            for form in forms:
                texts += [form.summary or "", *(part.text for part in form.detail or ())]
                texts += [suggestion.label for suggestion in form.suggest or ()]
            texts += [f"Variant {variant.name}" for variant in rule.then.variants]
            texts += [knowledge.override_reasons[reason] for reason in rule.then.override_reasons]
            if rule.then.modifies is not None:
                texts += [*rule.then.modifies.replace.values(), *rule.then.modifies.add]
        for text in texts:
            assert words(filled(knowledge, text)) in printed, rule.id


def test_every_number_source_and_open_sign_off_is_printed(printed: str, knowledge: KnowledgeBase) -> None:
    for threshold in knowledge.thresholds.values():
        for text in (threshold.id, threshold.quoted, threshold.meaning, threshold.catalogue):
            assert words(text) in printed, threshold.id
    for source in knowledge.sources.values():
        assert words(source.title) in printed, source.id
    for salt in knowledge.salts:
        assert f"{salt.title} ({salt.id})" in printed
    for row in sign_offs(knowledge):
        assert words(row.what) in printed


@pytest.mark.parametrize(
    ("kind", "printed_fields"),
    [
        (SuggestionRule, "label create remove stop"),
        (CardText, "indicator summary detail suggest"),
        (Variant, "name when indicator summary detail suggest place"),
        (Modification, "rules replace add raise_indicator"),
        (Advice, "card variants override_reasons merge_into modifies questionnaires"),
        (Activity, "id title code category priority redundant place"),
    ],
)
def test_nothing_that_a_rule_can_say_is_left_out_of_the_printout(kind: type, printed_fields: str) -> None:
    names = [field.name for field in fields(kind)]
    assert names == printed_fields.split(), "print the new part in cds/assurance/table.py, then name it here"


def test_what_is_open_for_signature_is_what_check_counts(knowledge: KnowledgeBase) -> None:
    rows = sign_offs(knowledge)
    assert len(rows) == len([problem for problem in check(knowledge) if problem.open_sign_off])
    assert len({row.what for row in rows}) == len(rows)
    assert {row.topic for row in rows} <= {*knowledge.topics, REST}


def test_both_forms_have_the_same_tables_row_by_row(knowledge: KnowledgeBase) -> None:
    document = decision_tables(knowledge, date(2026, 11, 22))
    page, text = read_html(to_html(document)), read_markdown(to_markdown(document))
    for element in ("table", "tr", "h2", "h3"):
        assert page.seen.count(element) == text.seen.count(element) > 0
    assert page.seen.count("th") + page.seen.count("td") == text.seen.count("th") + text.seen.count("td")


def test_links_of_sources_can_be_followed(knowledge: KnowledgeBase) -> None:
    page = to_html(decision_tables(knowledge, date(2026, 11, 22)))
    for source in knowledge.sources.values():
        assert source.url is None or f'href="{source.url.replace("&", "&amp;")}"' in page


def test_each_inner_link_leads_to_one_place(knowledge: KnowledgeBase) -> None:
    page = to_html(decision_tables(knowledge, date(2026, 11, 22)))
    targets = [part.partition('"')[0] for part in page.split('href="#')[1:]]
    assert targets
    for target in targets:
        assert page.count(f'id="{target}"') == 1


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rules_and_day_give_the_same_bytes(cli: Cli, rules: Rules, form: str) -> None:
    command = ("table", "--rules", rules.root, "--format", form, "--now", NOW)
    assert cli(*command).out == cli(*command).out


def test_the_printout_says_from_what_and_when_it_was_made(cli: Cli, rules: Rules) -> None:
    out = cli("table", "--rules", rules.root, "--profile", "strict", "--format", "print", "--now", NOW).out
    made_of = (
        f"profile strict, site Test site, knowledge {rules.load(profile='strict').hash[:12]}, generated 2026-11-22"
    )
    assert out.count(made_of) == 2, "on the page and at the head of each sheet of paper"


def test_a_profile_prints_its_own_numbers_and_where_they_are_set(cli: Cli, rules: Rules) -> None:
    out = cli("table", "--rules", rules.root, "--profile", "strict", "--now", NOW).out
    assert "Total calcium in serum or plasma below 2.20 mmol/L" in out
    assert "set in profiles/strict.yaml" in out
    assert "2.10 mmol/L" not in out


def test_a_topic_can_be_printed_alone(cli: Cli, rules: Rules) -> None:
    out = cli("table", "advice", "--rules", rules.root, "--now", NOW).out
    assert "## Advice" in out
    assert "## Basics" not in out
    assert "Open sign-offs in this printout: 2." in out


def test_an_order_that_is_not_proposed_again_is_printed_with_its_reason(cli: Cli, rules: Rules) -> None:
    out = cli("table", "advice", "--rules", rules.root, "--now", NOW).out
    assert "not proposed again where one of these holds:" in out
    assert "Open order: total calcium in serum or plasma, ordered in the last 14 days" in out


def test_who_removes_whose_card_is_printed_from_both_sides(cli: Cli, rules: Rules) -> None:
    out = cli("table", "advice", "--rules", rules.root, "--now", NOW).out
    assert "| Removes the cards of | calcium-test-missing |" in out
    assert "| Is removed by | low-calcium |" in out


def test_an_active_rule_is_not_open_for_signature(cli: Cli, rules: Rules) -> None:
    out = cli("table", "advice", "--rules", rules.root, "--now", NOW).out
    assert "| Rule calcium-test-missing 1.0.0 (XX-01)" in out
    assert "| Rule low-calcium 1.0.0" not in out


@pytest.mark.parametrize(("form", "suffix"), [("markdown", "md"), ("html", "html"), ("print", "html")])
def test_a_folder_holds_one_file_for_each_topic_and_one_for_the_rest(
    cli: Cli, rules: Rules, tmp_path: Path, form: str, suffix: str
) -> None:
    out = tmp_path / "tables"
    ended = cli("table", "--rules", rules.root, "--format", form, "--output", out, "--now", NOW)
    assert ended.out == f"3 files written to {out}\n"
    assert {path.name for path in out.iterdir()} == {f"{name}.{suffix}" for name in ("basics", "advice", REST)}
    assert "Low serum" not in (out / f"basics.{suffix}").read_text(encoding="utf-8")
    assert "Read a low serum calcium" in (out / f"advice.{suffix}").read_text(encoding="utf-8")


def test_a_misspelt_topic_is_wrong_use(cli: Cli, rules: Rules) -> None:
    ended = cli("table", "advise", "--rules", rules.root)
    assert ended.code == 2
    assert ended.complaint == "no topic 'advise'; did you mean 'advice'?"
