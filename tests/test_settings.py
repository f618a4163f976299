"""Settings: which source wins, and that every bad value is refused with the place it came from."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from verger.errors import SettingsError, UsageError
from verger.settings import PHOTO_EXTENSIONS, Settings, option_name


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder and no VERGER_ variables."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("VERGER_")]:
        monkeypatch.delenv(name)


def resolve(**options: Any) -> Settings:
    return Settings.resolve("photos", "out", environ={}, **options)


def toml(text: str, name: str = "verger.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------- precedence


def test_defaults_are_what_the_help_says() -> None:
    settings = resolve()
    assert settings.photos == "photos"
    assert settings.out == "out"
    assert settings.engine == "embedded"
    assert settings.layout == "parent"
    assert settings.extensions == PHOTO_EXTENSIONS
    assert settings.components == 0.95
    assert settings.max_rejected == 0.05
    assert settings.chunk is settings.parallelism is settings.weights is settings.pca_from is None
    assert settings.fresh is settings.prune is False


def test_every_default_passes_its_own_parser() -> None:
    for setting in fields(Settings):
        if setting.metadata and setting.default is not None:
            parsed = setting.metadata["parse"]("it", setting.default)
            assert parsed == setting.default, setting.name


def test_precedence_option_environment_file_default() -> None:
    toml("[run]\nbatch = 2\nchunk = 20\nparallelism = 200\n")
    environ = {"VERGER_BATCH": "3", "VERGER_CHUNK": "30"}
    settings = Settings.resolve("p", "o", environ=environ, batch=5)
    assert (settings.batch, settings.chunk, settings.parallelism) == (5, 30, 200)
    assert settings.max_megapixels == 100.0


def test_the_process_environment_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERGER_BATCH", "7")
    assert Settings.resolve("p", "o").batch == 7


def test_an_option_can_turn_off_what_the_file_turns_on() -> None:
    toml("[run]\nfresh = true\nprune = true\n")
    settings = resolve(fresh=False)
    assert settings.fresh is False
    assert settings.prune is True


@pytest.mark.parametrize("nothing", [{"chunk": None}, {}])
def test_none_counts_as_not_given(nothing: dict[str, None]) -> None:
    toml("[run]\nchunk = 77\n")
    assert resolve(**nothing).chunk == 77


def test_an_empty_variable_counts_as_not_given() -> None:
    settings = Settings.resolve("p", "o", environ={"VERGER_CHUNK": "", "VERGER_LAYOUT": ""})
    assert settings.chunk is None
    assert settings.layout == "parent"


def test_a_bad_value_that_is_overridden_does_no_harm() -> None:
    toml('[run]\nchunk = "no"\n')
    assert resolve(chunk=5).chunk == 5


def test_a_named_file_replaces_the_one_in_the_folder() -> None:
    toml("[run]\nchunk = 1\nbatch = 9\n")
    other = toml("[run]\nchunk = 2\n", "other.toml")
    settings = resolve(file=other)
    assert (settings.chunk, settings.batch) == (2, 4)


def test_photos_and_out_may_be_paths() -> None:
    settings = Settings.resolve(Path("a/b"), Path("c"), environ={})
    assert (settings.photos, settings.out) == ("a/b", "c")


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        resolve().chunk = 3  # type: ignore[misc]


# -------------------------------------------------------------------------------------- refusal

BAD: dict[str, list[Any]] = {
    "engine": ["flink", "", "sc://", "sc:// host", "SPARK", 3],
    "layout": ["", 3, True],
    "extensions": ["", ",", " . ,*", 3, True, [], [1], {"jpg": 1}],
    "components": [0, "0", "-1", 1.5, "1.5", "150%", "0%", "0.0", "x", "nan", "inf", "200.0"],
    "pca_from": ["", 1],
    "weights": ["", 0.5],
    "chunk": [0, "0", -3, "x", "1.5", 1.5, True, "9" * 5000, ""],
    "batch": [0, False, "two"],
    "parallelism": ["0", "-1"],
    "max_megapixels": [0, "0", 178.1, "nan", "inf", "-1", True, "much"],
    "max_megabytes": [0, "-0.1", 4097, "NaN"],
    "max_rejected": ["5", "101%", -0.01, "-1%", "nan", "%", "", True],
    "fresh": ["maybe", 2, "truee", 1.0],
    "prune": ["ja", -1],
}
CASES = [(name, value) for name, values in BAD.items() for value in values]


def test_every_setting_has_bad_values_here() -> None:
    assert set(BAD) == {setting.name for setting in fields(Settings) if setting.metadata}


@pytest.mark.parametrize(("name", "value"), CASES, ids=lambda case: repr(case)[:24])
def test_a_bad_option_is_refused_with_its_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"{option_name(name)} {value!r}: expected ")


@pytest.mark.parametrize(
    ("name", "value"),
    [case for case in CASES if isinstance(case[1], str) and case[1]],
    ids=lambda case: repr(case)[:24],
)
def test_a_bad_variable_is_refused_with_its_name(name: str, value: str) -> None:
    variable = f"VERGER_{name.upper()}"
    with pytest.raises(SettingsError) as caught:
        Settings.resolve("p", "o", environ={variable: value})
    assert str(caught.value).startswith(f"environment variable {variable} {value!r}: expected ")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("engine = 'flink'", "engine 'flink'"),
        ("layout = 3", "layout 3"),
        ("extensions = 3", "extensions 3"),
        ("extensions = [1, 2]", "extensions [1, 2]"),
        ("components = true", "components True"),
        ("components = 200.0", "components 200.0"),
        ("chunk = 2.5", "chunk 2.5"),
        ("batch = -1", "batch -1"),
        ("parallelism = []", "parallelism []"),
        ("max_megapixels = nan", "max_megapixels nan"),
        ("max_megabytes = 1979-05-27", "max_megabytes datetime.date(1979, 5, 27)"),
        ("max_rejected = {a = 1}", "max_rejected {'a': 1}"),
        ("fresh = 'oui'", "fresh 'oui'"),
        ("weights = false", "weights False"),
        ("pca_from = ['a']", "pca_from ['a']"),
    ],
)
def test_a_bad_line_is_refused_with_the_file(line: str, shown: str) -> None:
    toml(f"[run]\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        resolve()
    assert str(caught.value).startswith(f"verger.toml: {shown}: expected ")


def test_a_bad_line_of_a_named_file_names_that_file() -> None:
    with pytest.raises(SettingsError, match=r"^nightly\.toml: chunk 0: expected"):
        resolve(file=toml("[run]\nchunk = 0\n", "nightly.toml"))


def test_unknown_options_are_refused_and_the_known_ones_listed() -> None:
    with pytest.raises(SettingsError, match=r"unknown option 'chunks': expected one of .*chunk"):
        resolve(chunks=3)


def test_photos_and_out_are_no_settings_of_the_file() -> None:
    toml("[run]\nphotos = 'x'\n")
    with pytest.raises(SettingsError, match=r"verger\.toml: unknown setting 'photos' in \[run\]"):
        resolve()


def test_unknown_settings_in_the_file_are_refused() -> None:
    toml("[run]\nchunk = 1\nmax-rejected = 0.1\n")
    with pytest.raises(SettingsError, match=r"unknown setting 'max-rejected'.*max_rejected"):
        resolve()


@pytest.mark.parametrize("text", ["chunk = 5\n", "[runs]\nchunk = 5\n", "[tool.verger]\nx = 1\n"])
def test_settings_outside_the_run_table_are_refused(text: str) -> None:
    """Not passed over in silence: whoever wrote them believes that they hold."""
    toml(text)
    with pytest.raises(SettingsError, match=r"verger\.toml: unknown .*expected .*\[run\]"):
        resolve()


@pytest.mark.parametrize("text", ["run = 3\n", "run = ['chunk']\n"])
def test_run_must_be_a_table(text: str) -> None:
    toml(text)
    with pytest.raises(SettingsError, match="expected a table"):
        resolve()


@pytest.mark.parametrize("text", ["", "# nothing\n", "[run]\n"])
def test_an_empty_file_is_fine(text: str) -> None:
    toml(text)
    assert resolve() == Settings(photos="photos", out="out")


def test_malformed_toml_names_the_file_and_the_line() -> None:
    toml("[run]\nchunk = \n")
    with pytest.raises(SettingsError, match=r"settings file verger\.toml: .*line 2"):
        resolve()


def test_a_file_of_another_encoding_is_refused() -> None:
    Path("verger.toml").write_bytes("[run]\nlayout = '{label}/Äpfel'\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"settings file verger\.toml: .*utf-8"):
        resolve()


def test_a_byte_order_mark_is_passed_over() -> None:
    Path("verger.toml").write_bytes(b"\xef\xbb\xbf[run]\nchunk = 6\n")
    assert resolve().chunk == 6


def test_a_named_file_must_exist() -> None:
    with pytest.raises(SettingsError, match=r"settings file gone\.toml: "):
        resolve(file="gone.toml")


def test_a_named_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="settings file "):
        resolve(file=tmp_path)


@pytest.mark.parametrize(("photos", "out", "name"), [("", "o", "PHOTOS"), ("p", "", "OUT")])
def test_empty_photos_and_out_are_refused(photos: str, out: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} '': expected"):
        Settings.resolve(photos, out, environ={})


def test_bytes_are_no_path_of_photos() -> None:
    with pytest.raises(SettingsError, match="PHOTOS b'p'"):
        Settings.resolve(os.fsdecode(b"p").encode(), "o", environ={})  # type: ignore[arg-type]


# --------------------------------------------------------------------------------- good values


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("200", 200),
        (200, 200),
        ("1", 1),
        (1, 1),
        (" 200 ", 200),
        ("0.95", 0.95),
        (0.95, 0.95),
        ("95%", 0.95),
        ("95.5 %", 0.955),
        ("1.0", 1.0),
        (1.0, 1.0),
        ("100%", 1.0),
        ("1e-3", 0.001),
    ],
)
def test_components_count_or_share(given: Any, expected: float) -> None:
    """``1`` is one component, ``1.0`` is all of the variance: equal numbers of different type."""
    found = resolve(components=given).components
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [True, False])
def test_components_is_no_flag(value: bool) -> None:
    with pytest.raises(SettingsError, match=f"--components {value}: expected a number"):
        resolve(components=value)


def test_components_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(SettingsError, match="--components '999"):
        resolve(components="9" * 5000)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("jpg", ("jpg",)),
        ("PNG, .Jpg,*.tif", ("jpg", "png", "tif")),
        (["webp", ".JPG"], ("jpg", "webp")),
        (("a", "a", ""), ("a",)),
        ("all", ("all",)),
        ("jpg,,png,", ("jpg", "png")),
    ],
)
def test_extensions(given: Any, expected: tuple[str, ...]) -> None:
    assert resolve(extensions=given).extensions == expected


@pytest.mark.parametrize("word", [True, "1", "true", "TRUE", "yes", "On", 1])
def test_words_for_true(word: Any) -> None:
    assert resolve(fresh=word).fresh is True


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF"])
def test_words_for_false(word: str) -> None:
    assert Settings.resolve("p", "o", environ={"VERGER_PRUNE": word}).prune is False


@pytest.mark.parametrize(
    "engine", ["embedded", "spark", "sc://localhost:15002", "sc://h:1/;token=x;use_ssl=true"]
)
def test_engines(engine: str) -> None:
    assert resolve(engine=engine).engine == engine


@pytest.mark.parametrize(("given", "expected"), [("5%", 0.05), (0, 0.0), ("1", 1.0), ("0.5", 0.5)])
def test_shares(given: Any, expected: float) -> None:
    assert resolve(max_rejected=given).max_rejected == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("name", "most"), [("max_megapixels", 178.0), ("max_megabytes", 4096.0)])
def test_the_limits_themselves_are_allowed(name: str, most: float) -> None:
    assert getattr(resolve(**{name: most}), name) == most


def test_option_names() -> None:
    assert option_name("max_rejected") == "--max-rejected"
