"""References meet the images they are about; both kinds of those that do not meet are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from zoom_iqa.base.defects import DEFECTS, PRISTINE
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.types import Example, ImageRef, Sample, rated_example
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.references import SEEN, VOICES, Flaw, synthetic_references
from zoom_iqa.data.references import (
    Reference,
    ReferencedImages,
    read_references,
    referenced_images,
    with_references,
    write_references,
)


def one(file: str, annotator: int | None, text: str, dataset: str = "koniq") -> Reference:
    return Reference(
        dataset=dataset, file=file, split="train", annotator=annotator, description=text, good="", bad="too dark"
    )


class Labels:
    """Images without pixels."""

    def __init__(self, items: list[Example]) -> None:
        self._items = items

    def items(self) -> list[Example]:
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self._items[index], ())


REFERENCES = (
    one("1.jpg", 1, "second"),
    one("1.jpg", 0, "first"),
    one("1.jpg", None, "summary"),
    one("2.jpg", 0, "only"),
    one("9.jpg", 0, "elsewhere"),
    one("1.jpg", 0, "of another set", dataset="spaq"),
)
ITEMS = [rated_example(id=f"koniq-{n}", dataset="koniq", mos=3.0, path=f"/some/{n}.jpg") for n in (1, 2, 3)]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "references.jsonl"
    write_references(path, REFERENCES)
    assert read_references(path) == REFERENCES


def test_images_get_the_texts_about_their_file_and_others_none() -> None:
    images = ReferencedImages(dataset=Labels(ITEMS), references=REFERENCES, key="references")
    first, second, third = images.items()
    assert first.references == ("first too dark", "second too dark")
    assert first.human_text == first.summary == "summary too dark"
    assert (second.references, second.summary, second.human_text) == (("only too dark",), None, "only too dark")
    assert (third.references, third.human_text) == ((), None)
    assert images[0].example == first


def test_texts_are_joined_where_nobody_has_summed_them_up() -> None:
    assert replace(ITEMS[0], references=("a", "b")).human_text == "a b"


def test_both_kinds_that_do_not_meet_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "references.jsonl"
    write_references(path, REFERENCES)
    with_references(Labels(ITEMS), str(path), key="references")
    said = capsys.readouterr().err
    assert said == (
        "references: 2 of 3 images of koniq have a text that people wrote; 2 texts are about images that are not here\n"
    )


def test_texts_of_the_references_own_test_split_are_said() -> None:
    tested = [replace(reference, split="test" if reference.file == "1.jpg" else "train") for reference in REFERENCES]
    said = str(ReferencedImages(dataset=Labels(ITEMS), references=tested, key="references").attached)
    assert said.startswith("references: 2 of 3 images of koniq have a text that people wrote (1 of them of the")


def test_texts_about_other_sets_alone_are_an_error() -> None:
    with pytest.raises(DataError, match=r"references of spaq are given for images of koniq.* or data\.references=null"):
        ReferencedImages(dataset=Labels(ITEMS), references=REFERENCES[-1:], key="data.references")


def test_a_text_about_several_images_of_one_name_is_refused() -> None:
    twins = [replace(item, images=(ImageRef(path=f"/{item.id}/1.jpg"),)) for item in ITEMS[:2]]
    with pytest.raises(DataError, match=r"(?s)several images have one.*1\.jpg: /koniq-1/1\.jpg, /koniq-2/1"):
        ReferencedImages(dataset=Labels(twins), references=REFERENCES, key="data.references")


def test_every_unusable_line_is_listed(tmp_path: Path) -> None:
    good = json.loads(json.dumps(vars(REFERENCES[0])))
    lines = [
        json.dumps(good),
        "[]",
        json.dumps({**good, "split": "dev"}),
        json.dumps({**good, "annotator": True}),
        json.dumps({**good, "description": "", "bad": " "}),
        json.dumps({name: value for name, value in good.items() if name != "file"}),
        json.dumps({**good, "good": 3}),
    ]
    path = tmp_path / "references.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"6 lines of .* are no references") as error:
        read_references(path)
    assert [row.partition(": ")[0][-1] for row in error.value.rows] == ["2", "3", "4", "5", "6", "7"]
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no references"):
        read_references(path)


def embedded(references: str | None) -> EmbeddedSet:
    return EmbeddedSet(
        split="train",
        size=40,
        seed=3,
        local_fraction=0.3,
        pristine_fraction=0.1,
        procedural_fraction=0.2,
        continuous_levels=True,
        augmented=True,
        references=references,
    )


def test_the_embedded_set_writes_its_own() -> None:
    plain, written = embedded(None), embedded("synthetic")
    assert not any(item.references for item in plain.items())
    assert [item.references for item in plain.referenced().items()] == [item.references for item in written.items()]
    assert written[5].example.references == written.items()[5].references
    for item in written.items():
        assert len(set(item.references)) == len(VOICES) == 3
    with pytest.raises(ConfigError, match=r"data\.references=mine\.jsonl: the embedded set writes its own"):
        embedded("mine.jsonl")


def test_a_file_that_is_not_there_is_named_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"^references=syntetic: there is no such file; .* synthetic for"):
        with_references(Labels(ITEMS), "syntetic", key="references")


class Benchmark:
    name, evaluation_split = "toy", "test"

    def images(self, split: str, *, max_pixels: int | None, upright: bool, size: int | None) -> Labels:
        return Labels(ITEMS)


def test_no_other_set_writes_any() -> None:
    with pytest.raises(ConfigError, match=r"data\.references=synthetic: only the embedded set writes"):
        referenced_images(
            benchmark=Benchmark(), split="test", max_pixels=None, upright=True, size=None, references="synthetic"
        )


def example(mos: float) -> Example:
    return rated_example(id="coffee-1", dataset="embedded", mos=mos)


def test_synthetic_texts_say_what_is_wrong_in_words_that_rationales_do_not_use() -> None:
    assert SEEN.keys() == DEFECTS.keys()
    nouns = {defect.noun for defect in (*DEFECTS.values(), PRISTINE)}
    for distortion, phrases in SEEN.items():
        assert not any(noun in phrase.split() for noun in nouns for phrase in phrases)
        brief, plain, talkative = synthetic_references(
            example(2.0), "wildlife_red_panda", procedural=False, flaw=Flaw(distortion, 4.0, True)
        )
        assert brief.startswith("red panda. ")
        assert any(phrase in brief for phrase in phrases)
        assert plain.endswith(f"Sadly there is {DEFECTS[distortion].noun} in one part.")
        assert "badly spoilt" in talkative


def test_synthetic_texts_follow_from_name_and_flaw() -> None:
    def texts(name: str, flaw: Flaw | None) -> tuple[str, ...]:
        return synthetic_references(replace(example(4.5), id=name), "coffee", procedural=False, flaw=flaw)

    assert texts("a", None) == texts("a", None)
    assert len({texts(name, None) for name in "abcdefgh"}) > 1
    assert not any(phrase in text for phrases in SEEN.values() for phrase in phrases for text in texts("a", None))
