"""Labels of strangers: three kinds of files, what is matched, and what is said of the rest."""

import pytest

from homerange.errors import ModelError
from homerange.profile.adopt.labels import read_labels

LION = "ddf59264-185a-4d35-b647-2785792bdf54;mammalia;carnivora;felidae;panthera;leo;lion"
CATS = "febff896-db40-4ac8-bcfe-5bb99a600950;mammalia;carnivora;felidae;;;cat family"
HUMAN = "990ae9dd-7a59-4344-afcb-1b7b21368000;mammalia;primates;hominidae;homo;sapiens;human"
BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"
VEHICLE = "e2895ed5-780b-48f6-8a11-9e27cb594511;;;;;;vehicle"
ANIMAL = "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal"


def labels_of(folder, text, known=None):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return read_labels(folder / "labels.csv", known)


def names(labels):
    return [label.name for label in labels]


def test_seven_parts_give_species_higher_taxa_and_outcomes(tmp_path):
    lines = (LION, CATS, HUMAN, BLANK, VEHICLE, ANIMAL)
    found = labels_of(tmp_path, "\n".join(lines) + "\n")
    assert names(found) == ["Panthera leo", "Felidae", "person", "blank", "vehicle", "animal"]
    assert [label.matched for label in found] == [True] * 5 + [False]
    lion, cats = found[:2]
    assert (lion.common_name, lion.taxon_order, lion.taxon_genus) == (
        "lion",
        "Carnivora",
        "Panthera",
    )
    assert (cats.common_name, cats.taxon_genus) == ("cat family", "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_gives_names_taxonomy_and_outcomes_by_its_columns(tmp_path, delimiter):
    rows = [
        ("species", "common_name", "order", "outcome"),
        ("Panthera leo", "lion", "Carnivora", ""),
        ("panthera PARDUS", "leopard", "Carnivora", ""),
        ("", "an empty picture", "", "blank"),
        ("Homo sapiens", "", "", ""),
    ]
    found = labels_of(tmp_path, "\n".join(delimiter.join(row) for row in rows))
    assert names(found) == ["Panthera leo", "panthera PARDUS", "blank", "person"]
    assert [label.matched for label in found] == [True, False, True, True]
    assert found[0].taxon_order == "Carnivora"


def test_an_epithet_beside_its_genus_is_a_species(tmp_path):
    found = labels_of(tmp_path, "genus,species,common_name\nPanthera,leo,lion\n")
    assert names(found) == ["Panthera leo"]


def test_plain_names_are_matched_by_what_photos_and_records_call_them(tmp_path):
    known = {"lion": "Panthera leo", "vulpes vulpes": "Vulpes vulpes"}
    text = "lion\nVULPES VULPES\nLynx lynx\ntabby cat\nempty\n"
    found = labels_of(tmp_path, text, known)
    assert names(found) == ["Panthera leo", "Vulpes vulpes", "Lynx lynx", "tabby cat", "blank"]
    assert [label.matched for label in found] == [True, True, True, False, True]


def test_plain_names_with_commas_are_whole(tmp_path):
    found = labels_of(tmp_path, "tench, Tinca tinca\ngoldfish, Carassius auratus\n")
    assert names(found) == ["tench, Tinca tinca", "goldfish, Carassius auratus"]


def test_a_name_of_two_rows_stays_with_the_first_and_the_second_says_its_row(tmp_path):
    found = labels_of(
        tmp_path, "species,common_name\nGrus grus,crane\nGrus grus,crane\nempty,\n,empty\n"
    )
    assert names(found) == [
        "Grus grus",
        "crane (label of row 2)",
        "blank",
        "blank (outcome of row 4)",
    ]
    assert [label.matched for label in found] == [True, False, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there are no labels; expected one for each class row of the model"),
        ("species,common_name\nPanthera leo,lion\n,\n", "row 2 has no label; expected one for"),
        (
            "species,common_name\nPanthera leo,lion\nGrus grus\n",
            "row 2 has 1 cells, the header has 2. Quote names that hold a ','",
        ),
        ('species\n"Panthera leo\n', "the labels cannot be read (unexpected end of data). Save"),
    ],
)
def test_a_file_that_leaves_a_class_without_a_name_is_refused(tmp_path, text, words):
    with pytest.raises(ModelError) as caught:
        labels_of(tmp_path, text)
    assert str(caught.value).removeprefix(f"{tmp_path}/labels.csv: ").startswith(words)


def test_a_file_that_is_absent_or_no_text_is_refused(tmp_path):
    with pytest.raises(
        ModelError, match=r"the labels cannot be read \(No such file or directory\)"
    ):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "labels.csv").write_bytes(b"species\n\xff\xfe\n")
    with pytest.raises(ModelError, match="Save them as CSV in UTF-8"):
        read_labels(tmp_path / "labels.csv")
