"""rules/ on disk -> a checked, frozen KnowledgeBase with a content hash.

Every file is read with places, so that each problem names file, line, path and the way out. Loading either gives a
knowledge base without any problem or raises KnowledgeError with all of them; there is no half-loaded state.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

from cds.knowledge.errors import KnowledgeError, Problem, did_you_mean
from cds.knowledge.languages import read_languages, text_parts
from cds.knowledge.lint import check
from cds.knowledge.model import (
    Activity,
    Advice,
    AnyOf,
    Assertion,
    CardText,
    Clause,
    Code,
    Concept,
    Condition,
    Evidence,
    EvidenceSource,
    KnowledgeBase,
    Modification,
    Questionnaire,
    Rule,
    SaltShare,
    StandardReasons,
    Statement,
    SuggestionRule,
    Threshold,
    Topic,
    Variant,
)
from cds.knowledge.questionnaires import shipped_questionnaires, site_questionnaire
from cds.knowledge.source import Item, Place, Reader
from cds.knowledge.vocabulary import (
    AGREEMENTS,
    CONFIDENCES,
    HOOKS,
    INDICATORS,
    KINDS,
    KNOWN,
    SHARED_WORDS,
    STATUSES,
    STRENGTHS,
    Word,
)

RULE_KEYS = (
    "id", "title", "version", "status", "date", "catalogue", "seed", "hooks", "level", "evidence", "strength",
    "caution", "when", "unless", "suppresses", "concludes", "then",
)  # fmt: skip
_REQUIRED = tuple(k for k in RULE_KEYS[: RULE_KEYS.index("unless")] if k not in ("seed", "level"))
_SHARED_FOLDERS = ("valuesets", "sites", "profiles", "languages", "questionnaires")
_ZERO = Decimal(0)
_NO_DAY = date(1970, 1, 1)
_FINDING_IS = Word("present", "==", "flag", needs_presence=False)


def bundled_rules() -> Path:
    """The rules that came with the package: inside an installed wheel, or beside the package in a checkout."""
    inside = Path(str(files("cds").joinpath("_rules")))
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "rules"


def load_knowledge(
    rules_dir: Path | None = None, site_file: Path | None = None, profile: str = "seed"
) -> KnowledgeBase:
    """Read and check the whole knowledge base.

    ``rules_dir`` defaults to the bundled rules, ``site_file`` to its example site, ``profile`` is a file stem in
    rules/profiles. Raises KnowledgeError with every problem found.
    """
    root = (rules_dir or bundled_rules()).resolve()
    reader = Reader()
    if not root.is_dir():
        raise KnowledgeError([Problem(root.name, 1, "no such rules folder; give the folder that holds topics.yaml")])
    base = _Loader(reader, root, site_file or root / "sites" / "example.yaml", profile).load()
    problems = [*reader.problems]
    if not problems:
        problems = [p for p in check(base) if p.stops_loading]
    if problems:
        raise KnowledgeError(problems)
    return base


def _placed(concept: Concept, concepts: dict[str, Concept]) -> Concept:
    """The concept with the places of its signs: a leg unless it names its own, and everywhere else."""
    if not concept.sign or not {"leg", "other-place"} <= concepts.keys():
        return concept
    leg, other = concepts["leg"].text, concepts["other-place"].text
    site = concept.site or leg
    return replace(concept, site=site, elsewhere=tuple(word for word in (*leg, *other) if word not in site))


class _Loader:
    def __init__(self, reader: Reader, root: Path, site_file: Path, profile: str) -> None:
        self.reader = reader
        self.root = root
        self.site_file = site_file
        self.profile = profile
        self.systems: dict[str, str] = {}
        self.site_thresholds: dict[str, Item] = {}
        self.site_questionnaires: list[Item] = []

    def load(self) -> KnowledgeBase:
        self.systems = {name: item.text() for name, item in self._file("valuesets/systems.yaml").items()}
        concepts, salts = self._value_sets()
        site, concepts = self._site(concepts)
        questionnaires = self._questionnaires(concepts)
        topics = self._topics()
        sources = {name: self._source(name, item) for name, item in self._file("sources.yaml").items()}
        reasons = {name: item.text() for name, item in self._file("override-reasons.yaml").items()}
        standard = self._standard_reasons(reasons)
        thresholds: dict[str, Threshold] = {}
        rules: list[Rule] = []
        for topic in topics:
            folder = self.root / topic
            if (folder / "thresholds.yaml").is_file():
                for name, item in self._file(f"{topic}/thresholds.yaml").items():
                    if name in thresholds:
                        item.problem(f"threshold '{name}' stands also in {thresholds[name].place}; ids are unique")
                    thresholds[name] = self._threshold(name, item)
            for path in sorted(folder.glob("*.yaml")):
                if path.name != "thresholds.yaml" and "." not in path.stem:
                    rules.append(self._rule(topic, path))
        flags: dict[str, bool] = {}
        thresholds = self._profile(thresholds, flags)
        activities = {name: self._activity(name, item) for name, item in self._file("activities.yaml").items()}
        return KnowledgeBase(
            rules=tuple(rules),
            thresholds=thresholds,
            flags=flags,
            concepts=concepts,
            salts=salts,
            activities=activities,
            sources=sources,
            override_reasons={**reasons, **{code: standard.displays[code] for code in standard.offered}},
            topics=topics,
            statements={name: self._statement(name, item) for name, item in self._file("seed.yaml").items()},
            questionnaires=questionnaires,
            profile=self.profile,
            site=site,
            hash=self._hash(),
            languages=read_languages(self.reader, self.root, tuple(topics)),
            standard_reasons=standard,
        )

    def _standard_reasons(self, ours: Mapping[str, str]) -> StandardReasons:
        """standard-reasons.yaml, which a set of rules may do without."""
        if not (self.root / "standard-reasons.yaml").is_file():
            return StandardReasons()
        keys = ("system", "codes", "offered", "same", "narrower")
        entry = self._file("standard-reasons.yaml").mapping(keys, required=("system", "codes"))
        displays = {code: item.text() for code, item in entry["codes"].items()} if "codes" in entry else {}

        def known(item: Item) -> bool:
            if item.text() not in displays:
                item.problem(f"no code '{item.text()}' under codes{did_you_mean(item.text(), list(displays))}")
            return item.text() in displays

        offered = [item for item in entry["offered"].list() if known(item)] if "offered" in entry else []
        for item in offered:
            if item.text() in ours:
                item.problem(f"'{item.text()}' is also an id in override-reasons.yaml; rename ours")
        alike: dict[str, dict[str, str]] = {"same": {}, "narrower": {}}
        for name, found in alike.items():
            for reason, item in entry[name].items() if name in entry else ():
                if reason not in ours:
                    item.problem(f"no reason '{reason}' in override-reasons.yaml{did_you_mean(reason, list(ours))}")
                elif reason in alike["same"]:
                    item.problem(f"'{reason}' stands under same as well; keep one")
                elif known(item):
                    found[reason] = item.text()
        system = entry["system"].text() if "system" in entry else ""
        return StandardReasons(system, displays, tuple(item.text() for item in offered), **alike)

    # -- shared files ---------------------------------------------------------------------------------------------

    def _file(self, name: str) -> Item:
        return self.reader.file(self.root / name, self.root)

    def _hash(self) -> str:
        """SHA-256 over names and bytes of every file that can change advice, site file and profile name included."""
        digest = hashlib.sha256()
        written = [*self._written(), *self.root.glob("questionnaires/*.json")]
        # The founding text explains the rules and reaches no card, as little as their cases do.
        apart = ("sites", "seed.yaml")
        paths = [p for p in sorted(written) if p.relative_to(self.root).parts[0] not in apart]
        for path in [p for p in paths if not p.name.endswith(".cases.yaml")] + [self.site_file]:
            name = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else "site"
            content = path.read_bytes() if path.is_file() else b""
            digest.update(json.dumps([name, hashlib.sha256(content).hexdigest()]).encode())
        digest.update(self.profile.encode())
        return digest.hexdigest()

    def _written(self) -> Iterator[Path]:
        """The YAML files that are loaded from, also below links; not what editors and mounts keep beside them, such
        as the dated folder of a ConfigMap, whose name would make another hash of the same rules.
        """
        for folder, folders, names in os.walk(self.root, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (Path(folder, name) for name in names if name.endswith(".yaml") and not name.startswith("."))

    def _topics(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        root = self._file("topics.yaml")
        for name, item in root.items():
            entry = item.mapping(("title", "level"), ("title", "level"))
            if not (self.root / name).is_dir():
                item.problem(f"there is no folder rules/{name}; make it or drop the topic")
            topics[name] = Topic(
                name,
                entry["title"].text() if "title" in entry else name,
                int(entry["level"].number()) if "level" in entry else 9,
            )
        for folder in sorted(p.name for p in self.root.iterdir() if p.is_dir()):
            if folder not in topics and folder not in _SHARED_FOLDERS and not folder.startswith((".", "__")):
                root.problem(f"folder '{folder}' is not listed as a topic; its rules would never load")
        return topics

    def _source(self, name: str, item: Item) -> EvidenceSource:
        entry = item.mapping(
            ("title", "organisation", "year", "url", "read", "note"), ("title", "organisation", "read")
        )
        return EvidenceSource(
            name,
            entry["title"].text() if "title" in entry else name,
            entry["organisation"].text() if "organisation" in entry else "",
            entry["year"].text() if "year" in entry else "",
            entry["url"].text() if "url" in entry else None,
            entry["read"].choice(("primary", "secondary", "local")) if "read" in entry else "",
        )

    def _statement(self, name: str, item: Item) -> Statement:
        entry = item.mapping(("says", "message", "agreement", "but"), ("says", "message", "agreement"))
        return Statement(
            name,
            entry["says"].text() if "says" in entry else "",
            entry["message"].text() if "message" in entry else "",
            entry["agreement"].choice(AGREEMENTS) if "agreement" in entry else "",
            entry["but"].text() if "but" in entry else "",
            item.place,
        )

    def _evidence(self, item: Item | None) -> tuple[Evidence, ...]:
        rows = []
        for row in item.list() if item else []:
            entry = row.mapping(("source", "section", "supports"), ("source",))
            text = {key: value.text() for key, value in entry.items()}
            rows.append(Evidence(text.get("source", ""), text.get("section", ""), text.get("supports", "")))
        return tuple(rows)

    def _threshold(self, name: str, item: Item) -> Threshold:
        keys = ("value", "unit", "meaning", "quote", "catalogue", "confidence", "evidence", "note")
        entry = item.mapping(keys, ("value", "unit", "meaning", "catalogue", "confidence", "evidence"))
        text = {key: entry[key].text() for key in ("unit", "meaning", "quote", "catalogue") if key in entry}
        return Threshold(
            id=name,
            value=entry["value"].number() if "value" in entry else _ZERO,
            unit=text.get("unit", ""),
            meaning=text.get("meaning", ""),
            confidence=entry["confidence"].choice(CONFIDENCES) if "confidence" in entry else "",
            catalogue=text.get("catalogue", ""),
            evidence=self._evidence(entry.get("evidence")),
            place=item.place,
            quote=text.get("quote"),
        )

    def _profile(self, thresholds: dict[str, Threshold], flags: dict[str, bool]) -> dict[str, Threshold]:
        """Apply the profile's and then the site's values to the thresholds; neither may add logic or new names."""
        known = sorted(p.stem for p in (self.root / "profiles").glob("*.yaml"))
        path = self.root / "profiles" / f"{self.profile}.yaml"
        if self.profile not in known:
            place = Place("profiles", 1)
            self.reader.report(
                place, f"no profile '{self.profile}'{did_you_mean(self.profile, known)} (known: {known})"
            )
            return thresholds
        entry = self.reader.file(path, self.root).mapping(("title", "flags", "thresholds"), ("title",))
        result = dict(thresholds)
        for name, item in entry["flags"].items() if "flags" in entry else ():
            flags[name] = item.boolean()
        overrides = dict(entry["thresholds"].items()) if "thresholds" in entry else {}
        for name, item in (*overrides.items(), *self.site_thresholds.items()):
            if name not in result:
                item.problem(f"no threshold '{name}'{did_you_mean(name, list(result))}")
                continue
            new = item.mapping(("value", "unit", "catalogue", "confidence", "evidence", "quote"), ("value", "unit"))
            old = result[name]
            if "unit" in new and new["unit"].text() != old.unit:
                new["unit"].problem(f"the unit of '{name}' is {old.unit}; a profile may change the value only")
            result[name] = replace(
                old,
                value=new["value"].number() if "value" in new else old.value,
                catalogue=new["catalogue"].text() if "catalogue" in new else old.catalogue,
                confidence=new["confidence"].choice(CONFIDENCES) if "confidence" in new else old.confidence,
                evidence=self._evidence(new["evidence"]) if "evidence" in new else old.evidence,
                quote=new["quote"].text() if "quote" in new else None,
                place=item.place,
            )
        return result

    # -- value sets -----------------------------------------------------------------------------------------------

    def _code(self, item: Item, *, local: bool = False, extra: tuple[str, ...] = ()) -> Code:
        keys = ("system", "code", "display", "unit", "side", "needs_site", "persistent", "unspecific", "note", *extra)
        entry = item.mapping(keys, ("system", "code", "display"))
        system = entry["system"].text() if "system" in entry else ""
        if system not in self.systems and "://" not in system and not system.startswith("urn:"):
            item.problem(f"unknown code system '{system}'{did_you_mean(system, list(self.systems))}")
        return Code(
            system=self.systems.get(system, system),
            code=entry["code"].quoted() if "code" in entry else "",
            display=entry["display"].text() if "display" in entry else "",
            unit=entry["unit"].text() if "unit" in entry else None,
            side=entry["side"].choice(("left", "right", "both")) if "side" in entry else None,
            needs_site=entry["needs_site"].text() if "needs_site" in entry else None,
            persistent=entry["persistent"].boolean() if "persistent" in entry else False,
            unspecific=entry["unspecific"].boolean() if "unspecific" in entry else False,
            local=local,
            prefix=entry["prefix"].boolean() if "prefix" in entry else False,
        )

    def _value_sets(self) -> tuple[dict[str, Concept], tuple[SaltShare, ...]]:
        concepts: dict[str, Concept] = {}
        salts: list[SaltShare] = []
        for path in sorted((self.root / "valuesets").glob("*.yaml")):
            if path.stem == "systems":
                continue
            for name, item in self.reader.file(path, self.root).items():
                if path.stem == "salts":
                    salts.append(self._salt(name, item))
                    continue
                if name in concepts:
                    item.problem(f"concept '{name}' stands also in valuesets/{concepts[name].family}.yaml")
                concepts[name] = self._concept(name, path.stem, item)
        return {name: _placed(concept, concepts) for name, concept in concepts.items()}, tuple(salts)

    def _concept(self, name: str, family: str, item: Item) -> Concept:
        words = ("text", "sign", "sign_except", "site", "not_of", "not_as", "exact", "ingredient", "except")
        entry = item.mapping(("title", "codes", *words, "not_used", "note"), ("title",))
        return Concept(
            id=name,
            family=family,
            title=entry["title"].text() if "title" in entry else name,
            codes=tuple(self._code(code) for code in entry["codes"].list()) if "codes" in entry else (),
            text=entry["text"].texts() if "text" in entry else (),
            ingredient=entry["ingredient"].texts() if "ingredient" in entry else (),
            void=tuple(word for key in ("except", "sign_except") if key in entry for word in entry[key].texts()),
            not_used=entry["not_used"].text() if "not_used" in entry else None,
            sign=entry["sign"].texts() if "sign" in entry else (),
            site=entry["site"].texts() if "site" in entry else (),
            not_of=entry["not_of"].texts() if "not_of" in entry else (),
            not_as=entry["not_as"].texts() if "not_as" in entry else (),
            exact=entry["exact"].texts() if "exact" in entry else (),
        )

    def _salt(self, name: str, item: Item) -> SaltShare:
        entry = item.mapping(("title", "text", "codes", "share", "note"), ("title", "text", "share"))
        required = ("value", "confidence", "source")
        share = entry["share"].mapping((*required, "note"), required) if "share" in entry else {}
        return SaltShare(
            id=name,
            title=entry["title"].text() if "title" in entry else name,
            text=entry["text"].texts() if "text" in entry else (),
            codes=tuple(self._code(code) for code in entry["codes"].list()) if "codes" in entry else (),
            share=share["value"].number() if "value" in share else _ZERO,
            confidence=share["confidence"].choice(CONFIDENCES) if "confidence" in share else "",
            source=share["source"].text() if "source" in share else "",
            place=item.place,
        )

    def _site(self, concepts: dict[str, Concept]) -> tuple[str, dict[str, Concept]]:
        """Add the site's own codes to the concepts; the file is the only place for codes that are not verified."""
        item = self.reader.file(self.site_file, self.root)
        entry = item.mapping(("title", "codes", "thresholds", "questionnaires"), ("title",))
        self.site_questionnaires = entry["questionnaires"].list() if "questionnaires" in entry else []
        self.site_thresholds = dict(entry["thresholds"].items()) if "thresholds" in entry else {}
        added: dict[str, list[Code]] = {}
        for row in entry["codes"].list() if "codes" in entry else []:
            code = self._code(row, local=True, extra=("concept", "prefix"))
            target = dict(row.items()).get("concept")
            name = target.text() if target else ""
            if name not in concepts:
                row.problem(f"no concept '{name}'{did_you_mean(name, list(concepts))}")
                continue
            added.setdefault(name, []).append(code)
        merged = {
            name: replace(concept, codes=(*concept.codes, *added[name])) if name in added else concept
            for name, concept in concepts.items()
        }
        return (entry["title"].text() if "title" in entry else "site"), merged

    def _questionnaires(self, concepts: dict[str, Concept]) -> dict[str, Questionnaire]:
        """Every questionnaire by its URL: those that are shipped, then the site's own."""
        found: dict[str, Questionnaire] = {}
        rows = [*shipped_questionnaires(self.reader, self.root, concepts)]
        rows += [site_questionnaire(item, concepts) for item in self.site_questionnaires]
        for row in rows:
            if row.url in found:
                self.reader.report(row.place, f"'{row.url}' stands also in {found[row.url].place}; keep one")
            found[row.url] = row
        return found

    # -- rules ----------------------------------------------------------------------------------------------------

    def _rule(self, topic: str, path: Path) -> Rule:
        item = self.reader.file(path, self.root)
        entry = item.mapping(RULE_KEYS, _REQUIRED)
        order = [key for key, _ in item.items() if key in RULE_KEYS]
        if order != sorted(order, key=RULE_KEYS.index):
            item.problem(f"keys stand in this order: {', '.join(RULE_KEYS)}")
        text = {k: entry[k].text() for k in ("id", "title", "version", "catalogue", "caution") if k in entry}
        if text.get("id") != path.stem:
            item.problem(f"id '{text.get('id', '')}' and file name '{path.stem}' are one name; make them the same")
        if ("then" in entry) == ("concludes" in entry):
            item.problem("a rule either gives advice (then) or names a finding (concludes)")
        return Rule(
            id=text.get("id", path.stem),
            topic=topic,
            title=text.get("title", ""),
            version=text.get("version", ""),
            status=entry["status"].choice(STATUSES) if "status" in entry else "draft",
            date=entry["date"].day() if "date" in entry else _NO_DAY,
            catalogue=text.get("catalogue", ""),
            seed=entry["seed"].texts() if "seed" in entry else (),
            hooks=tuple(h.choice(HOOKS) for h in entry["hooks"].list()) if "hooks" in entry else (),
            level=int(entry["level"].number()) if "level" in entry else None,
            evidence=self._evidence(entry.get("evidence")),
            strength=entry["strength"].choice(STRENGTHS) if "strength" in entry else "",
            caution=text.get("caution", ""),
            when=self._clauses(entry.get("when")),
            unless=self._clauses(entry.get("unless")),
            suppresses=entry["suppresses"].texts() if "suppresses" in entry else (),
            concludes=entry["concludes"].text() if "concludes" in entry else None,
            then=self._advice(entry["then"]) if "then" in entry else None,
            place=item.place,
        )

    def _clauses(self, item: Item | None) -> tuple[Clause, ...]:
        return tuple(self._clause(row) for row in (item.list() if item else []))

    def _clause(self, item: Item) -> Clause:
        entries = dict(item.items())
        if set(entries) != {"any"}:
            return self._condition(item)
        alternatives: list[tuple[Condition, ...]] = []
        for row in entries["any"].list():
            inner = dict(row.items())
            if set(inner) == {"all"}:
                alternatives.append(tuple(self._condition(line) for line in inner["all"].list()))
            else:
                alternatives.append((self._condition(row),))
        if not alternatives or any(not a for a in alternatives):
            item.problem("'any' needs at least one condition in each alternative")
        return AnyOf(tuple(alternatives), item.place)

    def _condition(self, item: Item) -> Condition:
        kinds = (*KINDS, "finding", "profile")
        entries = dict(item.items())
        subject = [key for key in entries if key in kinds]
        if len(subject) != 1:
            found = f"found {', '.join(entries) or 'nothing'}"
            item.problem(f"a condition names one fact by its kind ({', '.join(kinds)}); {found}")
            return Condition("profile", "", (), False, None, item.place)
        kind = subject[0]
        concept = entries.pop(kind).text()
        or_unknown = entries.pop("or_unknown").boolean() if "or_unknown" in entries else False
        bind = entries.pop("as").text() if "as" in entries else None
        words = {"is": _FINDING_IS} if kind in ("finding", "profile") else {**KINDS[kind].words, "known": KNOWN}
        assertions: list[Assertion] = []
        for key, value in entries.items():
            if key not in words:
                known = (*words, *SHARED_WORDS)
                value.problem(f"'{kind}' has no word '{key}'{did_you_mean(key, known)} (known: {', '.join(known)})")
                continue
            word = words[key]
            if word.argument == "threshold":
                assertions.append(Assertion(key, word, threshold=value.text()))
            elif word.argument == "word":
                assertions.append(Assertion(key, word, literal=value.choice(word.choices)))
            else:
                assertions.append(Assertion(key, word, literal=value.boolean()))
        return Condition(kind, concept, tuple(assertions), or_unknown, bind, item.place)

    def _advice(self, item: Item) -> Advice:
        keys = (
            "indicator", "summary", "detail", "suggest", "variants", "links", "override_reasons", "merge_into",
            "modifies",
        )  # fmt: skip
        entry = item.mapping(keys)
        card = None
        if "summary" in entry or "modifies" not in entry:
            item.mapping(keys, ("indicator", "summary", "detail"))
            card = CardText(
                indicator=entry["indicator"].choice(INDICATORS) if "indicator" in entry else "info",
                summary=entry["summary"].text() if "summary" in entry else "",
                detail=text_parts(entry["detail"]) if "detail" in entry else (),
                suggest=self._suggestions(entry.get("suggest")),
            )
        return Advice(
            card=card,
            variants=tuple(self._variant(row) for row in entry["variants"].list()) if "variants" in entry else (),
            override_reasons=entry["override_reasons"].texts() if "override_reasons" in entry else (),
            merge_into=entry["merge_into"].texts() if "merge_into" in entry else (),
            modifies=self._modification(entry["modifies"]) if "modifies" in entry else None,
            questionnaires=self._links(entry["links"]) if "links" in entry else (),
        )

    def _suggestions(self, item: Item | None) -> tuple[SuggestionRule, ...]:
        rows = []
        for row in item.list() if item else []:
            entry = row.mapping(("label", "create", "remove", "stop"), ("label",))
            rows.append(
                SuggestionRule(
                    entry["label"].text() if "label" in entry else "",
                    entry["create"].texts() if "create" in entry else (),
                    entry["remove"].text() if "remove" in entry else None,
                    entry["stop"].texts() if "stop" in entry else (),
                )
            )
            if len({"create", "remove", "stop"} & entry.keys()) != 1:
                row.problem(
                    "a suggestion does one thing: it creates activities, removes the draft order bound to a name, or"
                    " stops active medicines"
                )
        return tuple(rows)

    def _links(self, item: Item) -> tuple[str, ...]:
        """The questionnaires that a card links to; the form's own title is the label."""
        rows = [row.mapping(("questionnaire",), ("questionnaire",)) for row in item.list()]
        return tuple(row["questionnaire"].text() for row in rows if "questionnaire" in row)

    def _variant(self, item: Item) -> Variant:
        keys = ("name", "when", "indicator", "summary", "detail", "suggest")
        entry = item.mapping(keys, ("name", "when"))
        return Variant(
            name=entry["name"].text() if "name" in entry else "",
            when=self._clauses(entry.get("when")),
            indicator=entry["indicator"].choice(INDICATORS) if "indicator" in entry else None,
            summary=entry["summary"].text() if "summary" in entry else None,
            detail=text_parts(entry["detail"]) if "detail" in entry else None,
            suggest=self._suggestions(entry["suggest"]) if "suggest" in entry else None,
            place=item.place,
        )

    def _modification(self, item: Item) -> Modification:
        entry = item.mapping(("rules", "replace", "add", "raise_indicator"), ("rules",))
        return Modification(
            rules=entry["rules"].texts() if "rules" in entry else (),
            replace={k: v.text() for k, v in entry["replace"].items()} if "replace" in entry else {},
            add=entry["add"].texts() if "add" in entry else (),
            raise_indicator=entry["raise_indicator"].boolean() if "raise_indicator" in entry else False,
        )

    def _activity(self, name: str, item: Item) -> Activity:
        entry = item.mapping(("title", "code", "category", "priority", "redundant"), ("title", "code"))
        empty = Code("", "", "")
        return Activity(
            id=name,
            title=entry["title"].text() if "title" in entry else name,
            code=self._code(entry["code"]) if "code" in entry else empty,
            category=self._code(entry["category"]) if "category" in entry else None,
            priority=entry["priority"].choice(("routine", "urgent", "asap", "stat"))
            if "priority" in entry
            else "routine",
            redundant=self._clauses(entry.get("redundant")),
            place=item.place,
        )
