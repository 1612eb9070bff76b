"""The tables NOTE and NOTE_NLP of the OMOP Common Data Model 5.4, field by field.

Source: OHDSI/CommonDataModel, inst/csv/OMOP_CDMv5.4_Field_Level.csv, the rows of note and note_nlp in their order: cdmFieldName,
cdmDatatype, isRequired. There `offset` stands in double quotes, as SQL wants it.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """A field: `datatype` as the model writes it."""

    name: str
    datatype: str
    required: bool

    @property
    def kind(self) -> str:
        """What a writer makes of it."""
        return "text" if self.datatype.startswith("varchar") else self.datatype

    @property
    def chars(self) -> int | None:
        """How many characters it holds; None: any number, or it holds none."""
        size = self.datatype.removeprefix("varchar(").removesuffix(")")
        return int(size) if size.isdecimal() else None


NOTE = (
    Field("note_id", "integer", True),
    Field("person_id", "integer", True),
    Field("note_date", "date", True),
    Field("note_datetime", "datetime", False),
    Field("note_type_concept_id", "integer", True),
    Field("note_class_concept_id", "integer", True),
    Field("note_title", "varchar(250)", False),
    Field("note_text", "varchar(MAX)", True),
    Field("encoding_concept_id", "integer", True),
    Field("language_concept_id", "integer", True),
    Field("provider_id", "integer", False),
    Field("visit_occurrence_id", "integer", False),
    Field("visit_detail_id", "integer", False),
    Field("note_source_value", "varchar(50)", False),
    Field("note_event_id", "integer", False),
    Field("note_event_field_concept_id", "integer", False),
)
NOTE_NLP = (
    Field("note_nlp_id", "integer", True),
    Field("note_id", "integer", True),
    Field("section_concept_id", "integer", False),
    Field("snippet", "varchar(250)", False),
    Field("offset", "varchar(50)", False),
    Field("lexical_variant", "varchar(250)", True),
    Field("note_nlp_concept_id", "integer", False),
    Field("note_nlp_source_concept_id", "integer", False),
    Field("nlp_system", "varchar(250)", False),
    Field("nlp_date", "date", True),
    Field("nlp_datetime", "datetime", False),
    Field("term_exists", "varchar(1)", False),
    Field("term_temporal", "varchar(50)", False),
    Field("term_modifiers", "varchar(2000)", False),
)

# the concept of UTF-8, "currently the only option" (the same file, note.encoding_concept_id)
UTF_8 = 32678
NO_CONCEPT = 0
TERM_CHARS = 250
TITLE_CHARS = 250
MODIFIERS_CHARS = 2000
