"""What is taken as text, and what is said of what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from jupyter_mlplat.core.models import Description, ResourceName, Word
from jupyter_mlplat.core.text import describe
from jupyter_mlplat.images.models import ImageSave
from jupyter_mlplat.instances.models import InstanceCreate
from jupyter_mlplat.jobs.models import JobCreate

NAME = TypeAdapter[str](ResourceName)


def test_the_rule_is_in_the_schema_and_not_in_the_words() -> None:
    schema = InstanceCreate.model_json_schema()["properties"]["name"]
    assert (schema["type"], schema["minLength"], schema["maxLength"]) == ("string", 1, 64)
    assert schema["pattern"].startswith("^[A-Za-z0-9")
    with pytest.raises(ValidationError) as refused:
        ImageSave.model_validate({"name": "A", "tag": "-"})
    words = describe(refused.value.errors())
    assert words.startswith("name: 'A' cannot be taken: use 1 to 128 lower case letters")
    assert "; tag: '-' cannot be taken" in words
    assert "^" not in words


@given(st.text(st.characters(), max_size=70))
def test_every_name_is_taken_or_refused_in_words_that_can_be_sent(name: str) -> None:
    try:
        assert NAME.validate_python(name) == name
    except ValidationError as refused:
        words = describe(refused.errors())
        assert words.encode()
        assert words.isprintable()


@pytest.mark.parametrize("text", ["\x1b[31m", "a\0", "\ud800", "\x9b"])
def test_text_that_does_harm_is_refused(text: str) -> None:
    for kind in (Description, Word):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(text)


def test_a_description_may_have_lines() -> None:
    assert TypeAdapter(Description).validate_python("one\r\n\ttwo 🎉") == "one\r\n\ttwo 🎉"
    with pytest.raises(ValidationError):
        TypeAdapter(Word).validate_python("one\ntwo")


def test_only_the_first_five_errors_are_told() -> None:
    with pytest.raises(ValidationError) as refused:
        JobCreate.model_validate({"name": 1, "bundle": 2, "entry": 3, "nodes": 4.5, "retries": -1, "more": 6})
    words = describe(refused.value.errors())
    assert words.count(";") == 4
    assert words.endswith("retries: must be 0 or more.")
