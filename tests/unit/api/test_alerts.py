"""A message reaches a real server, and a failure is told without the password."""

import http.server
import json
import threading

import pytest

from portroom.api.alerts import checked_addresses, kind_of, read_sent, rules, send
from portroom.api.configuration import configuration, notify_addresses
from portroom.errors import InvalidRequestError, NotPermittedError, NotSupportedError
from portroom.model.facts.config import Alerts

# Plugins of Apprise import what Python is to lose one day.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Hook(http.server.ThreadingHTTPServer):
    """A server that keeps what is posted."""

    def __init__(self, status=200):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.posted = []

    @property
    def address(self):
        """Return where it is reached, with a password."""
        return f"json://me:secret@127.0.0.1:{self.server_port}/hook"


class Handler(http.server.BaseHTTPRequestHandler):
    """Keeps a request."""

    def do_POST(self):
        """Keep the body."""
        size = int(self.headers["Content-Length"])
        self.server.posted.append(json.loads(self.rfile.read(size)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hook(request):
    """Serve a hook, by default one that takes everything."""
    with Hook(getattr(request, "param", 200)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_message_is_posted_as_it_is(hook):
    """Title, body and kind; nothing in it is taken for markup."""
    reason = send(hook.address, "a title", "<b>*x*</b> &amp; {{y}}\nz\n", "critical")

    (posted,) = hook.posted
    assert "" == reason
    assert ("a title", "failure") == (posted["title"], posted["type"])
    assert "<b>*x*</b> &amp; {{y}}\nz" == posted["message"].strip()


@pytest.mark.parametrize("hook", [500], indirect=True)
def test_a_refusal_is_told_without_the_password(hook):
    """The status of the server stands in the reason."""
    reason = send(hook.address, "a", "b", "warning")

    assert "500" in reason
    assert "secret" not in reason


def test_nobody_there_is_told_without_the_password():
    """A port on which nobody listens."""
    reason = send("json://me:secret@127.0.0.1:1/", "a", "b", "info")

    assert "onnection error" in reason
    assert "secret" not in reason


def test_a_kind_is_all_that_is_told_of_an_address():
    """Where there is none, not even that."""
    assert ["mailtos", "no kind", "no kind", "no kind"] == [
        kind_of(text)
        for text in ("mailtos://me:secret@host", "secret", "se cret://x", "\x1b[31m://x")
    ]


def test_a_wrong_address_is_named_by_its_place():
    """The second of two, by its kind alone."""
    with pytest.raises(InvalidRequestError) as caught:
        checked_addresses(Alerts(notify=("json://localhost/", "jsn://me:secret@localhost/")))

    assert "alerts.notify: address 2 of 2 (jsn) is none that Apprise knows." == caught.value.message


def test_without_apprise_one_sentence_says_what_to_install(monkeypatch):
    """And only where somebody is to be notified."""
    monkeypatch.setattr("portroom.api.alerts.find_spec", lambda _: None)
    with pytest.raises(NotSupportedError) as caught:
        checked_addresses(Alerts(notify=("json://localhost/",)))

    assert "pip install 'portroom[notify]'" == caught.value.hint
    assert 3 == caught.value.exit_status
    assert () == checked_addresses(Alerts())


def test_addresses_may_stand_in_a_file_of_their_own(tmp_path):
    """A line each; comments and empty lines are none."""
    file = tmp_path / "notify"
    file.write_text("# who is on call\n\n json://one/ \njson://two/\n")
    config = Alerts(notify=("json://zero/",), notify_file=str(file))

    assert ("json://zero/", "json://one/", "json://two/") == notify_addresses(config)
    assert ("json", "json", "json") == rules(config).addresses


def test_a_file_of_addresses_that_is_missing_is_told(tmp_path):
    """An error for who sends, a gap for who only lists."""
    config = Alerts(notify_file=str(tmp_path / "none"))
    with pytest.raises(InvalidRequestError, match=r"alerts\.notify_file"):
        checked_addresses(config)

    assert ["notify_file"] == [gap.source for gap in rules(config).gaps]


def test_rules_tell_the_thresholds_that_hold():
    """And which of them are sent to anybody."""
    found = {one.name: one for one in rules(Alerts(critical_ratio=0.9, drift=False)).rules}

    assert "a key is 0.9 full or more" == found["key_critical"].when
    assert (True, False) == (found["key_half"].is_on, found["key_half"].is_sent)
    assert (False, False) == (found["drift"].is_on, found["drift"].is_sent)
    assert 0 == found["failed_connects"].for_s


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": {"b": 3}}', b"\xff"])
def test_a_state_that_cannot_be_read_is_none(tmp_path, content):
    """The worst that follows is that something is told twice."""
    (tmp_path / "sent.json").write_bytes(content)

    assert {} == read_sent(str(tmp_path)) == read_sent(str(tmp_path / "none"))


class TestConfiguration:
    """The file that is named, or the usual one if it is there."""

    def test_without_a_file_all_is_as_usual(self, monkeypatch, tmp_path):
        """Options prevail over it all the same."""
        monkeypatch.setattr("portroom.api.configuration.FILE", str(tmp_path / "none"))

        assert 0.7 == configuration(None, ("alerts.warning=0.7",)).alerts.warning_ratio

    def test_the_usual_file_is_read_if_it_is_there(self, monkeypatch, tmp_path):
        """And options prevail over it."""
        file = tmp_path / "portroom.toml"
        file.write_bytes(b"[alerts]\r\nwarning = 0.7\r\ncritical = 0.9\r\n")
        monkeypatch.setattr("portroom.api.configuration.FILE", str(file))
        found = configuration(None, ("alerts.critical=0.85",)).alerts

        assert (0.7, 0.85) == (found.warning_ratio, found.critical_ratio)

    def test_a_named_file_has_to_be_there(self, tmp_path):
        """A typing error is no reason to go on without."""
        with pytest.raises(InvalidRequestError, match="No such file"):
            configuration(str(tmp_path / "none"))

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"[serve]\n\xff\n", ":2: this is no text: b'\\xff' is not UTF-8."),
            (b"[serve]\nintervall = 1", ":2: [serve] has no key 'intervall'."),
            (b"\x00", ":1: this is not TOML: Invalid statement."),
            (b"#" * 300_000, "300000 bytes are too many."),
        ],
    )
    def test_a_wrong_file_is_named_with_its_line(self, tmp_path, content, expected):
        """Whatever it holds."""
        file = tmp_path / "portroom.toml"
        file.write_bytes(content)
        with pytest.raises(InvalidRequestError) as caught:
            configuration(str(file))

        assert str(file) in caught.value.message
        assert expected in str(caught.value)

    def test_what_is_no_file_is_not_read(self):
        """A device has no end."""
        with pytest.raises((InvalidRequestError, NotPermittedError)):
            configuration("/dev/zero")
