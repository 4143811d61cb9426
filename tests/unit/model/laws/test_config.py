"""A configuration means what its writer meant, or its error names the very line."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.errors import InvalidRequestError
from portroom.model.facts.config import COUNT, DURATION, KEYS, RATIO, SIZE, SWITCH, TEXT, Config
from portroom.model.laws.config import (
    SECTIONS,
    parse_config,
    value_of,
    with_options,
)
from portroom.model.laws.config_values import bounds, written

HARMLESS = {DURATION: "1h", SIZE: "2MiB", RATIO: "0.3", SWITCH: "true", COUNT: "10", TEXT: "x"}

NAMES = [f"{key.section}.{key.name}" for key in KEYS]


def refusal(text):
    """Return the whole sentence that refuses a file."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_config(text, "p.toml")
    return str(caught.value)


def test_nothing_said_is_the_default():
    """An empty file, and one of comments, is the configuration without a file."""
    assert Config() == parse_config("", "p.toml") == parse_config("# nothing\n\n", "p.toml")


def test_each_key_is_one_field_and_each_field_one_key():
    """The table and the types say the same, section by section."""
    rows = {section: [key.field for key in KEYS if key.section == section] for section in SECTIONS}
    types = {field.name: field.type for field in msgspec.structs.fields(Config)}

    assert rows == {
        name: [field.name for field in msgspec.structs.fields(section)]
        for name, section in types.items()
    }


@pytest.mark.parametrize("key", KEYS, ids=NAMES)
def test_a_default_that_is_written_down_changes_nothing(key):
    """What the reference shows as default can be put into the file as it stands."""
    default = written(key, value_of(Config(), key))
    text = f"[{key.section}]\n{key.name} = {default}\n"

    assert Config() == parse_config(text, "p.toml")


@pytest.mark.parametrize("key", KEYS, ids=NAMES)
def test_each_key_may_be_given_as_an_option(key):
    """An option takes what the file takes, without quotes."""
    typed = key.words[-1] if key.words else HARMLESS.get(key.kind, "x")
    typed = {"half": "0.6", "warning": "0.7", "critical": "0.9"}.get(key.name, typed)
    config = with_options(Config(), (f"{key.section}.{key.name}={typed}",))
    section = getattr(config, key.section)

    assert [key.field] == [
        field
        for field in section.__struct_fields__
        if getattr(section, field) != getattr(getattr(Config(), key.section), field)
    ] or value_of(Config(), key) == value_of(config, key)


@pytest.mark.parametrize("key", KEYS, ids=NAMES)
def test_each_key_refuses_what_it_is_not(key):
    """A table is no value of any key; the sentence names file, line and key."""
    told = refusal(f"# first\n[{key.section}]\n\n{key.name} = {{ x = 1 }}\n")

    assert told.startswith(f"p.toml:4: {key.name}: expected ")


@pytest.mark.parametrize("key", [key for key in KEYS if key.least is not None])
def test_bounds_are_included_and_end_there(key):
    """The least a key takes is taken, and anything below is refused with the bounds."""
    accepted = (
        parse_config(f"[{key.section}]\n{key.name} = {key.least}", "p.toml")
        if (key.name not in {"critical", "warning"})
        else with_options(
            Config(), ("alerts.half=0.5", "alerts.warning=0.5", "alerts.critical=0.5")
        )
    )
    told = refusal(f"[{key.section}]\n{key.name} = {key.least - 1}")

    assert key.least == value_of(accepted, key)
    assert "expected" in told
    assert bounds(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[serve]\nintervall = "5s"',
            "p.toml:2: [serve] has no key 'intervall'. Did you mean 'interval'?",
        ),
        ("[serv]\n", "p.toml:1: there is no section 'serv'. Did you mean 'serve'?"),
        (
            "[nothing]\n",
            f"p.toml:1: there is no section 'nothing'. Known are {', '.join(SECTIONS)}.",
        ),
        (
            '\ninterval = "5s"',
            "p.toml:2: 'interval' stands in no section. 'interval' belongs in [serve].",
        ),
        ("serve = 3", "p.toml:1: serve is a section: write [serve]."),
        ("[[serve]]", "p.toml:1: serve is a section: write [serve]."),
        (
            "[serve]\nwarning = 1",
            "p.toml:2: [serve] has no key 'warning'. 'warning' belongs in [alerts].",
        ),
        (
            '[serve]\ninterval = "10 minutes"',
            "p.toml:2: interval: expected a time such as 30s, 5m, 48h, 30d or 2y, got '10 minutes'.",
        ),
        ('[serve]\ninterval = "500h"', "p.toml:2: interval: expected 1s to 1h, got '500h'."),
        (
            "[serve]\ninterval = nan",
            "p.toml:2: interval: expected a time such as 30s, 5m, 48h, 30d or 2y, got nan.",
        ),
        ("[alerts]\nwarning = 80", "p.toml:2: warning: expected 0.5 to 1, got 80."),
        (
            "[alerts]\nwarning = true",
            "p.toml:2: warning: expected a ratio from 0 to 1 such as 0.8, got True.",
        ),
        ('[serve]\nlog = "xml"', "p.toml:2: log: expected one of text, json, got 'xml'."),
        ("[serve]\nkeys = 20.5", "p.toml:2: keys: expected a whole number such as 20, got 20.5."),
        (
            "[alerts]\ncritical = 0.7",
            "p.toml:1: half (0.5) may not be above warning (0.8), nor warning above critical (0.7).",
        ),
        ("a = = 1", "p.toml:1: this is not TOML: Invalid value."),
        (
            "[serve]\nkeys = 10\nkeys = 11\n",
            "p.toml:3: this is not TOML: Cannot overwrite a value.",
        ),
        ('[serve]\nlog = "text', "p.toml:2: this is not TOML: Unterminated string."),
    ],
)
def test_an_error_names_file_line_and_what_is_near(text, expected):
    """What is wrong is told in one sentence, what to write instead in another."""
    assert expected == refusal(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('# nokey\n[serve]\nlog = "text" # nokey\nnokey = 1', 4),
        ('[serve]\nhosts = [\n  "nokey",\n  "b",\n]\n\n  nokey = 1', 7),
        ('serve.log = "text"\nserve . nokey = 1', 2),
        ("serve = { keys = 10, nokey = 1 }", 1),
        ("[serve]\n\n'nokey' = 1", 3),
        ('[history]\nfile = """\nnokey = 2"""\n[serve]\nnokey = 1', 5),
        ('[serve]\n"\\u006eokey" = 1', 2),
    ],
)
def test_the_line_is_found_however_the_key_is_written(text, line):
    """Comments, lists and texts over lines, dotted and quoted keys and inline tables."""
    told = refusal(text)

    assert told.startswith(f"p.toml:{line}: ")


def test_what_is_to_be_notified_is_never_quoted():
    """Addresses hold passwords: errors show none of them."""
    told = refusal('[alerts]\nnotify = ["mailto://me:secret@example.com", 3]')

    assert told.startswith("p.toml:2: notify: expected a list of texts")
    assert "secret" not in told


def test_what_is_quoted_neither_acts_nor_fills_the_screen():
    """An escape sequence is written as one, and a long value is cut."""
    told = refusal('[serve]\nlog = "\\u001b[31m' + "x" * 10_000 + '"')

    assert told.isprintable()
    assert len(told) < 200


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("alerts.warning", "--set 'alerts.warning': expected SECTION.KEY=VALUE."),
        ("warning=1", "--set 'warning': expected SECTION.KEY=VALUE."),
        ("alerts.warnin=1", "--set: [alerts] has no key 'warnin'. Did you mean 'warning'?"),
        ("alrts.warning=1", "--set: there is no section 'alrts'. Did you mean 'alerts'?"),
        ("alerts.warning=x", "--set alerts.warning: warning: expected a ratio"),
        ("alerts.critical=0.6", "--set: half (0.5) may not be above warning (0.8)"),
        (
            "serve.all_netns=yes",
            "--set serve.all_netns: all_netns: expected true or false, got 'yes'.",
        ),
    ],
)
def test_a_wrong_option_is_told_as_an_option(word, expected):
    """The sentence names the option, and never a file."""
    with pytest.raises(InvalidRequestError) as caught:
        with_options(Config(), (word,))

    assert str(caught.value).startswith(expected)


def test_options_of_a_list_make_it_anew():
    """Several words are several texts, and none of the file's stay."""
    before = parse_config('[serve]\nhosts = ["old"]', "p.toml")
    after = with_options(before, ("serve.hosts=one", "serve.log=json", "serve.hosts=two=2"))

    assert ("one", "two=2") == after.serve.hosts


def test_thresholds_may_be_moved_together_by_options():
    """Only what all words together give has to be in order."""
    config = with_options(
        Config(), ("alerts.critical=0.7", "alerts.half=0.5", "alerts.warning=0.6")
    )

    assert (0.5, 0.6, 0.7) == (
        config.alerts.half_ratio,
        config.alerts.warning_ratio,
        config.alerts.critical_ratio,
    )


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_one_refusal(text):
    """No text of a file raises anything else."""
    try:
        told = str(parse_config(text, "p.toml"))
    except InvalidRequestError as error:
        told = error.message

    assert told.startswith(("Config(", "p.toml"))


@given(
    st.sampled_from(KEYS),
    st.one_of(st.floats(), st.integers(), st.booleans(), st.text(max_size=20)),
)
def test_any_value_is_taken_or_refused(key, value):
    """Whatever TOML can say of a key, it is within its bounds or refused."""
    text = str(value).lower() if isinstance(value, bool | int | float) else f'"""{value}"""'
    try:
        config = parse_config(f"[{key.section}]\n{key.name} = {text}", "p.toml")
    except InvalidRequestError:
        return
    if isinstance(read := value_of(config, key), int | float) and key.most is not None:
        assert (key.least or 0) <= read <= key.most


@given(st.sampled_from(KEYS), st.integers(1, 1 << 31))
def test_a_number_is_written_as_it_is_read(key, amount):
    """written() and parse_config() are each other's inverse."""
    if key.kind not in {DURATION, SIZE, COUNT}:
        return
    try:
        config = parse_config(f"[{key.section}]\n{key.name} = {amount}", "p.toml")
    except InvalidRequestError:
        return
    text = f"[{key.section}]\n{key.name} = {written(key, value_of(config, key))}"

    assert config == parse_config(text, "p.toml")
