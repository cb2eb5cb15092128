"""The answer: cards with suggestions, actions, links and override reasons.

Each cross-field duty of the specification is one validator that carries the requirement's id. A model that
breaks a duty cannot be built, so it cannot be sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import StrictBool, StringConstraints, field_validator, model_validator

from cds.hooks.wire import Extension, Text, Url, WireModel

Indicator = Literal["info", "warning", "critical"]
SelectionBehavior = Literal["at-most-one", "any"]
ActionType = Literal["create", "update", "delete"]
LinkType = Literal["absolute", "smart"]
# cds-hooks_2.0@83: fewer than 140 characters.
Summary = Annotated[str, StringConstraints(min_length=1, max_length=139)]
RelativeReference = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]{0,63}/[A-Za-z0-9\-.]{1,64}$")]


class Coding(WireModel):
    """cds-hooks_2.0@216 to @220: code and system always; display where a person reads it."""

    code: Text
    system: Text
    display: Text | None = None


class Source(WireModel):
    """Where the advice comes from (cds-hooks_2.0@105 to @116); `url` is about the source, not the patient."""

    label: Text
    url: Url | None = None
    icon: Url | None = None
    topic: Coding | None = None
    extension: Extension | None = None


class Link(WireModel):
    """A place to read on, or a SMART app to launch (cds-hooks_2.0@138 to @147)."""

    label: Text
    url: Url
    type: LinkType
    app_context: Text | None = None
    autolaunchable: StrictBool | None = None
    extension: Extension | None = None

    @model_validator(mode="after")
    def _app_context_only_for_smart(self) -> Self:
        """cds-hooks_2.0@147: appContext is not valid for absolute links."""
        if self.app_context is not None and self.type != "smart":
            raise ValueError("appContext on a link that is not smart; drop it or make the link smart")
        return self


class Action(WireModel):
    """One change that the client may make (cds-hooks_2.0@127 to @135); resources are raw FHIR JSON."""

    type: ActionType
    description: Text
    resource: dict[str, Any] | None = None
    resource_id: RelativeReference | None = None
    extension: Extension | None = None

    @field_validator("resource")
    @classmethod
    def _resource_is_fhir(cls, resource: dict[str, Any] | None) -> dict[str, Any] | None:
        """cds-hooks_2.0@130: resource is a FHIR resource, so it names its type."""
        if resource is not None and not (isinstance(resource.get("resourceType"), str) and resource["resourceType"]):
            raise ValueError("resource without resourceType")
        return resource

    @model_validator(mode="after")
    def _create_carries_a_new_resource(self) -> Self:
        """cds-hooks_2.0@131: create holds the new resource."""
        if self.type == "create" and self.resource is None:
            raise ValueError("create action without resource; give the new resource")
        return self

    @model_validator(mode="after")
    def _update_carries_the_whole_resource(self) -> Self:
        """cds-hooks_2.0@132: update holds the entire resource, which the client finds by its id."""
        if self.type == "update" and not (self.resource and self.resource.get("id")):
            raise ValueError("update action without a resource that has an id; give the entire changed resource")
        return self

    @model_validator(mode="after")
    def _delete_names_the_resource(self) -> Self:
        """cds-hooks_2.0@133 and @134: delete names the resource by resourceId, never by resource."""
        if self.type == "delete" and (self.resource_id is None or self.resource is not None):
            raise ValueError("delete action needs resourceId (Type/id) and no resource")
        return self


class Suggestion(WireModel):
    """Changes that are taken together (cds-hooks_2.0@117 to @125); `uuid` lets acceptance be reported."""

    label: Text
    uuid: Text | None = None
    is_recommended: StrictBool | None = None
    actions: tuple[Action, ...] = ()
    extension: Extension | None = None


class Card(WireModel):
    """One piece of advice (cds-hooks_2.0@80 to @104); `detail` is GitHub-flavoured Markdown, no HTML."""

    uuid: Text | None = None
    summary: Summary
    detail: Text | None = None
    indicator: Indicator
    source: Source
    suggestions: tuple[Suggestion, ...] = ()
    selection_behavior: SelectionBehavior | None = None
    override_reasons: tuple[Coding, ...] = ()
    links: tuple[Link, ...] = ()
    extension: Extension | None = None

    @model_validator(mode="after")
    def _suggestions_need_selection_behavior(self) -> Self:
        """cds-hooks_2.0@93 and @96: with suggestions the client must be told how many may be chosen."""
        if self.suggestions and self.selection_behavior is None:
            raise ValueError("suggestions without selectionBehavior; say at-most-one or any")
        return self

    @model_validator(mode="after")
    def _one_recommendation_under_at_most_one(self) -> Self:
        """cds-hooks_2.0@122: several suggestions may be recommended only when selectionBehavior is any."""
        recommended = sum(1 for suggestion in self.suggestions if suggestion.is_recommended)
        if self.selection_behavior == "at-most-one" and recommended > 1:
            raise ValueError("more than one recommended suggestion under at-most-one; keep one or use any")
        return self

    @model_validator(mode="after")
    def _override_reasons_are_readable(self) -> Self:
        """cds-hooks_2.0@100, @136 and @219: the clinician picks a reason by its display."""
        if any(reason.display is None for reason in self.override_reasons):
            raise ValueError("override reason without display; give the text that the clinician reads")
        return self


class CdsResponse(WireModel):
    """The body of a 200 answer (cds-hooks_2.0@74, @77): always an array of cards, empty when there is nothing
    to say.

    There are no systemActions: this service never changes an order by itself.
    """

    cards: tuple[Card, ...] = ()
    extension: Extension | None = None

    @model_validator(mode="after")
    def _uuids_are_unique(self) -> Self:
        """cds-hooks_2.0@80: uuid is unique; feedback on a shared one would fall on the wrong card."""
        uuids = [card.uuid for card in self.cards if card.uuid]
        uuids += [suggestion.uuid for card in self.cards for suggestion in card.suggestions if suggestion.uuid]
        if len(set(uuids)) != len(uuids):
            raise ValueError("two cards or suggestions share a uuid; give each its own")
        return self
