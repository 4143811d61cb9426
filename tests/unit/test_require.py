"""
Prove that ``REQUIRE`` of tests/conftest.py leaves no way to skip unseen.

Each test runs a small session of its own, below the same conftest.py.
"""

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPPING_TEST = "import pytest\ndef test_it(): pytest.skip('no namespace')\n"
SKIPPING_MARK = "import pytest\n@pytest.mark.skipif(True, reason='no root')\ndef test_it(): ...\n"
SKIPPING_FILE = "import pytest\npytest.skip('no ss', allow_module_level=True)\n"
PASSING_TEST = "def test_it(): ...\n"


@pytest.fixture
def session(pytester, monkeypatch):
    """
    Return a function that runs *source* as a file of tests/kernel with ``REQUIRE`` set.
    """

    def run(source, require, *arguments):
        tests = pytester.mkdir("tests")
        (tests / "kernel").mkdir()
        (tests / "kernel" / "test_it.py").write_text(source)
        (tests / "conftest.py").write_text(CONFTEST.read_text())
        pytester.makeini("[pytest]\ntestpaths = tests\n")
        monkeypatch.setenv("REQUIRE", require)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    return run


@pytest.mark.parametrize(
    ("source", "outcome"),
    [(SKIPPING_TEST, "failed"), (SKIPPING_MARK, "errors"), (SKIPPING_FILE, "errors")],
    ids=["test", "mark", "file"],
)
def test_a_skip_in_a_required_folder_fails(session, source, outcome):
    """
    A test, a mark or a file that skips fails if its folder is required, and says why it skipped.
    """
    result = session(source, "kernel")

    assert {outcome: 1} == result.parseoutcomes()
    result.stdout.fnmatch_lines(["REQUIRE names kernel, so this may not be skipped. *no *"])


@pytest.mark.parametrize(
    "source",
    [SKIPPING_TEST, SKIPPING_MARK, SKIPPING_FILE],
    ids=["test", "mark", "file"],
)
def test_a_skip_elsewhere_stays_a_skip(session, source):
    """
    A skip is only a skip if no folder is required.
    """
    result = session(source, "")

    assert {"skipped": 1} == result.parseoutcomes()


def test_a_required_folder_without_tests_stops_a_whole_run(session):
    """
    A whole run is refused if it would run nothing of a required folder.
    """
    result = session(PASSING_TEST, "kernel,e2e")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*REQUIRE names e2e, of which no test was found.*"])


def test_a_chosen_file_may_leave_a_required_folder_out(session):
    """
    A run of chosen files is not refused for what it leaves out.
    """
    result = session(PASSING_TEST, "kernel,e2e", "tests/kernel/test_it.py")

    assert {"passed": 1} == result.parseoutcomes()


def test_a_folder_that_does_not_exist_cannot_be_required(session):
    """
    A typo in ``REQUIRE`` is refused, because it would require nothing.
    """
    result = session(PASSING_TEST, "kernle")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*REQUIRE names kernle; the folders are *"])
