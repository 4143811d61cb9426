"""A configuration is taken as a whole or not at all, and no value of it gets into the log."""

import pytest

from portroom.daemon.reload import Origin, reloaded
from portroom.model.facts.config import Alerts, Config, Serve
from tests.unit.daemon.made import Told


def reload(tmp_path, text, holding, *words):
    """Return the configuration that holds after a file was read anew, and what is told."""
    file = tmp_path / "portroom.toml"
    file.write_text(text)
    log = Told()
    return reloaded(Origin(str(file), words), holding, log), log


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # Apprise imports it
def test_what_changed_is_taken_and_named(tmp_path):
    """The key is named, its value is not."""
    config, log = reload(
        tmp_path,
        '[serve]\ninterval = "5s"\n[alerts]\nnotify = ["json://u:secret@h"]\n',
        Config(),
    )

    assert ("json://u:secret@h",) == config.alerts.notify
    assert 5.0 == config.serve.interval_s
    assert [
        "The configuration was read anew, changed: serve.interval and alerts.notify."
    ] == log.sentences


def test_a_wrong_file_leaves_all_as_it_was(tmp_path):
    """Not even what is right in it is taken; the message names file and line."""
    holding = Config(serve=Serve(interval_s=3.0))
    config, log = reload(tmp_path, '[serve]\ninterval = "5s"\nintervall = "6s"\n', holding)

    assert holding is config
    assert ["reload_refused"] == log.events
    assert "portroom.toml:3: " in log.sentences[0]
    assert "The configuration stays as it was" in log.sentences[0]


def test_a_file_that_is_gone_leaves_all_as_it_was(tmp_path):
    """It was named, so it is meant."""
    log = Told()
    holding = Config(serve=Serve(interval_s=3.0))

    assert holding is reloaded(Origin(f"{tmp_path}/none.toml", ()), holding, log)
    assert ["reload_refused"] == log.events


def test_options_still_prevail(tmp_path):
    """The command line is not read anew."""
    config, log = reload(tmp_path, '[serve]\ninterval = "5s"\n', Config(), "serve.interval=2s")

    assert 2.0 == config.serve.interval_s
    assert ["reloaded"] == log.events


def test_what_only_a_restart_changes_stays_and_is_told(tmp_path):
    """Sockets stay where they are, and so does the history."""
    text = '[serve]\nlisten = ["127.0.0.1:1"]\n[history]\nfile = "/x"\n[alerts]\nfor = "1m"\n'
    config, log = reload(tmp_path, text, Config())

    assert Config(alerts=Alerts(for_s=60.0)) == config
    assert ["reload_partly", "reloaded"] == log.events
    assert "Only a restart changes serve.listen and history.file." == log.sentences[0]


def test_a_file_that_did_not_change_changes_nothing(tmp_path):
    """That is told, too: somebody asked."""
    config, log = reload(tmp_path, "", Config())

    assert Config() == config
    assert ["The configuration was read anew, nothing changed."] == log.sentences
