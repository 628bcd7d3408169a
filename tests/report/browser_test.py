"""The page in a real browser, where there is one."""

import http.server
import re
import shutil
import subprocess
import threading

import pytest
from pages import Reader, interrupted

from ifnas_jax.report.write import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")


@pytest.fixture
def browse(tmp_path):
    """A function: what a file's page is once it is loaded, and what it asked for.

    All that the browser asks for over a network goes to a proxy, which notes it; what
    it asks its maker, whom no page here names, is not the page's.
    """
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_CONNECT = do_GET  # noqa: N815

        def log_message(self, *unused):
            pass

    def browse(path, *flags):
        asked.clear()
        command = [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--disable-quic", "--no-first-run", "--disable-background-networking"),
            *(
                "--disable-component-update",
                "--disable-sync",
                "--virtual-time-budget=2000",
            ),
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--proxy-server=http://127.0.0.1:{server.server_port}",
            "--proxy-bypass-list=<-loopback>",
            *(*flags, "--dump-dom", path.as_uri()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "google" not in done.stdout
        return done.stdout, [url for url in asked if "google" not in url]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield browse
        server.shutdown()
        thread.join()


def test_the_page_asks_for_nothing(finished, browse, tmp_path):
    workdir = tmp_path / "run"
    interrupted(finished[0], workdir)
    write_report(workdir)
    for folder, state in ((finished[0], "finished"), (workdir, "unfinished")):
        dom, asked = browse(folder / "report" / "index.html")
        assert asked == []
        assert f'class="state">{state}' in dom
        # All figures are there, with what is drawn in them.
        figures = re.findall(r"<svg.*?</svg>", dom, re.S)
        assert len(figures) >= 4
        assert all(figure.count("<path") > 5 for figure in figures)
    # What does ask is noticed; in a page as ours its policy forbids it.
    page = '<meta charset="utf-8">{}<img src="http://example.org/a.png">'
    policy = "<meta http-equiv='Content-Security-Policy' content=\"{}\">"
    stored = Reader((finished[0] / "report" / "index.html").read_text("utf-8"))
    policy = policy.format(stored.metas["Content-Security-Policy"])
    for forbidden in ("", policy):
        (tmp_path / "asks.html").write_text(page.format(forbidden), encoding="utf-8")
        _, asked = browse(tmp_path / "asks.html")
        assert asked == ([] if forbidden else ["http://example.org/a.png"])


def test_the_page_fits_a_phone(finished, browse, tmp_path):
    """No script is in the page; this one is put there to measure."""
    measure = (
        "<script>document.title = [document.documentElement.scrollWidth, "
        "innerWidth].join(' ')</script>"
    )
    source = (finished[0] / "report" / "index.html").read_text(encoding="utf-8")
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    path = tmp_path / "measured.html"
    path.write_text(source.replace("</body>", f"{measure}</body>"), encoding="utf-8")
    dom, _ = browse(path, "--window-size=500,800")
    width, window = map(int, re.search(r"<title>(\d+) (\d+)</title>", dom).groups())
    assert width <= window <= 500
