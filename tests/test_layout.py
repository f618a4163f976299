"""Labels from paths: what a template finds, what it refuses, and that it finds what it wrote."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from verger.errors import LayoutError
from verger.layout import Labels, Layout

NFD_AEPFEL = unicodedata.normalize("NFD", "Äpfel")


@pytest.mark.parametrize(
    ("relative", "label"),
    [
        ("Apple/1.jpg", "Apple"),
        ("Training/Apple/1.jpg", "Apple"),
        ("1.jpg", None),
        ("a/b/c/d/e.jpg", "d"),
        ("with space/x.jpg", "with space"),
        ("new\nline/x.jpg", "new\nline"),
        ("caf\\xe9/x.jpg", "caf\\xe9"),
    ],
)
def test_parent(relative: str, label: str | None) -> None:
    assert Layout("parent").labels(relative) == Labels(label, None)


@pytest.mark.parametrize("relative", ["Apple/1.jpg", "1.jpg"])
def test_none_says_nothing(relative: str) -> None:
    assert Layout("none").labels(relative) == Labels(None, None)


FITTING = [
    ("{label}/{file}", "Apple/1.jpg", ("Apple", None)),
    ("/{label}/{file}/", "Apple/1.jpg", ("Apple", None)),
    ("{label}//{file}", "Apple/1.jpg", ("Apple", None)),
    ("{split}/{fruit}/{label}/{file}", "Training/Apple/Golden/1.jpg", ("Golden", "Training")),
    ("{label}/{split}/*", "Apple/Test/1.jpg", ("Apple", "Test")),
    ("*/{label}/*", "x/Apple/1.jpg", ("Apple", None)),
    ("**/{label}/{file}", "Apple/1.jpg", ("Apple", None)),
    ("**/{label}/{file}", "a/b/c/Apple/1.jpg", ("Apple", None)),
    ("{label}/**", "Apple/1.jpg", ("Apple", None)),
    ("{label}/**", "Apple/a/b/1.jpg", ("Apple", None)),
    ("{split}/**/{label}/*", "Test/Apple/1.jpg", ("Apple", "Test")),
    ("{split}/**/{label}/*", "Test/a/b/Apple/1.jpg", ("Apple", "Test")),
    ("{label}/**/{file}", "Apple/a/b/1.jpg", ("Apple", None)),
    ("fruits/{label}/*.jpg", "fruits/Apple/1.jpg", ("Apple", None)),
    ("{label}.jpg", "Apple.jpg", ("Apple", None)),
    ("{label}_{n}.jpg", "Apple_12.jpg", ("Apple", None)),
    ("{label}_{n}.jpg", "Golden_Delicious_12.jpg", ("Golden_Delicious", None)),
    ("{n}_{label}.jpg", "12_Golden_Delicious.jpg", ("Golden_Delicious", None)),
    ("{split}-{label}-{n}.*", "test-Pink-Lady-3.png", ("Pink-Lady", "test")),
    ("img*_{label}.*", "img7_Golden_Delicious.jpg", ("Golden_Delicious", None)),
    ("class={label}/*", "class=Apple/1.jpg", ("Apple", None)),
    ("a.b/{label}/*", "a.b/Apple/1.jpg", ("Apple", None)),
    ("a+(b)[c]^$|?/{label}/*", "a+(b)[c]^$|?/Apple/1.jpg", ("Apple", None)),
    ("(?:.*)/{label}/*", "(?:.*)/Apple/1.jpg", ("Apple", None)),
    ("{label}/*", "A.p+p*l(e/1.jpg", ("A.p+p*l(e", None)),
    ("{label}/*", "new\nline/1\n.jpg", ("new\nline", None)),
    ("**/{label}/*", "a\nb/c/Apple\n/1.jpg", ("Apple\n", None)),
    ("{label}/*", "{label}/1.jpg", ("{label}", None)),
]


@pytest.mark.parametrize(("template", "relative", "expected"), FITTING)
def test_template(template: str, relative: str, expected: tuple[str, str | None]) -> None:
    assert Layout(template).labels(relative) == Labels(*expected)


@pytest.mark.parametrize(
    ("template", "relative"),
    [
        ("{label}/{file}", "1.jpg"),
        ("{label}/{file}", "a/b/1.jpg"),
        ("*/{label}/*", "Apple/1.jpg"),
        ("{label}/**", "Apple"),
        ("{label}/{n}_100.jpg", "Apple/_100.jpg"),
        ("a.b/{label}/*", "aXb/Apple/1.jpg"),
        ("Training/{label}/*", "training/Apple/1.jpg"),
        ("Training/{label}/*", "Training/Apple/1.jpg\n/x"),
        ("{label}/*.jpg", "Apple/1.jpg\n"),
        ("{label}/*.jpg", "Apple/1.png"),
        ("x/**/{label}/*", "y/x/Apple/1.jpg"),
    ],
)
def test_template_that_does_not_fit(template: str, relative: str) -> None:
    assert Layout(template).labels(relative) is None


@pytest.mark.parametrize(
    "template", ["parent", "{label}/{file}", "Obst/{label}/**", "**/{label}/*"]
)
def test_labels_are_in_normal_form_c(template: str) -> None:
    """macOS hands out names in form D; one name must be one label wherever it was typed."""
    prefix = "Obst/" if template.startswith("Obst") else ""
    labels = Layout(template).labels(f"{prefix}{NFD_AEPFEL}/1.jpg")
    assert NFD_AEPFEL != "Äpfel"
    assert labels == Labels("Äpfel", None)


def test_splits_are_in_normal_form_c() -> None:
    labels = Layout("{split}/{label}/*").labels(f"{NFD_AEPFEL}/a/1.jpg")
    assert labels == Labels("a", "Äpfel")


def test_literals_fit_in_either_normal_form() -> None:
    for literal in ("Äpfel", NFD_AEPFEL):
        for found in ("Äpfel", NFD_AEPFEL):
            layout = Layout(literal + "/{label}/*")
            assert layout.labels(f"{found}/Elstar/1.jpg") == Labels("Elstar", None)


@pytest.mark.parametrize("template", ["", "/", "{file}", "{a}/{b}", "*/**", "labels", "Parent"])
def test_a_template_without_label_is_refused(template: str) -> None:
    with pytest.raises(LayoutError) as caught:
        Layout(template)
    assert f"layout {template!r} has no {{label}}: expected " in str(caught.value)
    assert "'parent', or 'none'" in str(caught.value)


@pytest.mark.parametrize("name", ["label", "split", "x"])
def test_a_field_twice_is_refused(name: str) -> None:
    template = f"{{{name}}}/{{label}}x/{{{name}}}"
    with pytest.raises(LayoutError, match=r"has \{(label|split|x)\} more than once"):
        Layout(template)


@pytest.mark.parametrize("name", ["", " ", "2nd", "a-b", "a b", "a.b", "é", "label!r", "label:3"])
def test_bad_field_names_are_refused(name: str) -> None:
    with pytest.raises(LayoutError) as caught:
        Layout(f"{{label}}/{{{name}}}")
    assert f"field {{{name}}} must be a name" in str(caught.value)


@pytest.mark.parametrize(
    "template", ["{label}/{", "}/{label}", "{{label}}", "{label}}", "{label}/a}b{c", "{x{label}}"]
)
def test_stray_braces_are_refused(template: str) -> None:
    with pytest.raises(LayoutError, match="brace without its partner"):
        Layout(template)


@pytest.mark.parametrize("template", ["{label}{n}.jpg", "{label}*/x", "*{label}", "{split}{label}"])
def test_fields_that_touch_are_refused(template: str) -> None:
    """Any division of the name would do, so that labels would be single letters."""
    with pytest.raises(LayoutError, match="nothing divides the parts"):
        Layout(template)


def test_equal_templates_are_equal_layouts() -> None:
    assert Layout("{label}/*") == Layout("{label}/*")
    assert Layout("{label}/*") != Layout("{label}/**")


# ---------------------------------------------------------------- what it wrote, it reads again

#: A folder's or file's name, in form C already; may hold every character that a regex minds.
NAMES = (
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
    .map(lambda text: unicodedata.normalize("NFC", text))
    # A mark that begins a name would join the character before it in form C.
    .filter(lambda text: text not in (".", "..") and not unicodedata.combining(text[0]))
)
LITERALS = NAMES.filter(lambda text: not set(text) & set("{}*"))


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str, str, str | None]:
    """A template, a path that it describes, and the label and split written there."""
    label, split = draw(NAMES), draw(st.none() | NAMES)
    parts = [("{label}", label)]
    if split is not None:
        parts.append(("{split}", split))
    for number in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["field", "literal", "star"]))
        token = {"field": f"{{f{number}}}", "star": "*"}.get(kind)
        name = draw(LITERALS if token is None else NAMES)
        parts.append((token or name, name))
    parts = draw(st.permutations(parts))
    return "/".join(p[0] for p in parts), "/".join(p[1] for p in parts), label, split


@effort(deadline=None, database=None, max_examples=300)
@given(written())
def test_a_template_matches_what_it_generated(case: tuple[str, str, str, str | None]) -> None:
    template, relative, label, split = case
    assert Layout(template).labels(relative) == Labels(label, split)


@effort(deadline=None, database=None, max_examples=200)
@given(NAMES, st.lists(NAMES, max_size=5), NAMES)
def test_any_number_of_folders(label: str, folders: list[str], file: str) -> None:
    relative = "/".join([*folders, label, file])
    assert Layout("**/{label}/{file}").labels(relative) == Labels(label, None)
    assert Layout("parent").labels(relative) == Labels(label, None)
    relative = "/".join([label, *folders, file])
    assert Layout("{label}/**").labels(relative) == Labels(label, None)


@effort(deadline=None, database=None, max_examples=200)
@given(NAMES, st.integers(0, 10**9))
def test_numbered_files(label: str, number: int) -> None:
    assert Layout("{label}_{n}.jpg").labels(f"{label}_{number}.jpg") == Labels(label, None)
