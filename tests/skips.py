"""In CI a test that is skipped is one that failed: nothing else would say so."""

import os

import pytest

# How ids of tests begin that CI may skip: none. It installs what each of them needs.
MAY_SKIP = ()


def _told(nodeid, report):
    """The report of a skip, as a failure where CI runs."""
    skipped = report.outcome == "skipped" and not hasattr(report, "wasxfail")
    if skipped and os.environ.get("CI") and not nodeid.startswith(MAY_SKIP):
        *_, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"{nodeid} must not be skipped in CI ({reason}); install what it needs: "
            "the extras test and interop of setup.cfg, or Chromium; or list "
            "it in tests/skips.py."
        )
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Of a test, or of what it needs."""
    return _told(item.nodeid, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Of a file that can't be imported where something is missing."""
    return _told(collector.nodeid, (yield))
