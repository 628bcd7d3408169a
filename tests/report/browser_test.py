"""The page in a real browser, where there is one."""

import html
import http.server
import json
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
        assert all(figure.count("<path") > 3 for figure in figures)
    # What does ask is noticed; in a page as ours its policy forbids it.
    page = '<meta charset="utf-8">{}<img src="http://example.org/a.png">'
    policy = "<meta http-equiv='Content-Security-Policy' content=\"{}\">"
    stored = Reader((finished[0] / "report" / "index.html").read_text("utf-8"))
    policy = policy.format(stored.metas["Content-Security-Policy"])
    for forbidden in ("", policy):
        (tmp_path / "asks.html").write_text(page.format(forbidden), encoding="utf-8")
        _, asked = browse(tmp_path / "asks.html")
        assert asked == ([] if forbidden else ["http://example.org/a.png"])


# In a frame as wide as a phone: the page's width; the least size of a figure's text;
# what is wider than its box, and whether a line says so; unfolded removals likewise.
MEASURE = """
const page = frame.contentDocument, view = frame.contentWindow;
const wide = box => box.scrollWidth > box.clientWidth;
for (const folded of page.querySelectorAll('details')) folded.open = true;
const sizes = [...page.querySelectorAll('svg text')].map(text => {
  const matrix = text.getScreenCTM();
  return parseFloat(view.getComputedStyle(text).fontSize)
      * Math.hypot(matrix.a, matrix.b);
});
const figures = [...page.querySelectorAll('figure')];
document.title = JSON.stringify({
  window: view.innerWidth,
  page: page.documentElement.scrollWidth,
  texts: sizes.length,
  least: Math.min(...sizes),
  wide: figures.filter(figure => wide(figure.querySelector('div'))).length,
  said: figures.filter(figure => figure.querySelector('.hint').clientHeight > 9).length,
  figures: figures.length,
  tables: [...page.querySelectorAll('details .scroll')].map(wide),
});
"""


def measure(browse, source, path):
    """The numbers of a page in a frame of 390 pixels.

    No script is in the page, nor may be: one is put around it.
    """
    source = re.sub(r'<meta http-equiv="(Content-|refresh)[^>]*>', "", source)
    frame = f"""<iframe id="frame" style="border:0;width:390px;height:800px"
      srcdoc="{html.escape(source)}"></iframe>
      <script>onload = () => {{ {MEASURE} }}</script>"""
    path.write_text(f'<meta charset="utf-8">{frame}', encoding="utf-8")
    dom, _ = browse(path)
    return json.loads(re.search(r"<title>(.*?)</title>", dom)[1])


def test_the_page_fits_a_phone_and_can_be_read(finished, browse, tmp_path):
    source = (finished[0] / "report" / "index.html").read_text(encoding="utf-8")
    found = measure(browse, source, tmp_path / "frame.html")
    assert found["window"] == 390
    assert found["page"] <= 390
    assert found["texts"] > 100
    assert found["least"] >= 9
    # The drawing of the network alone is wider, and says so.
    assert (found["wide"], found["said"]) == (1, 1)
    assert found["figures"] > 5
    assert len(found["tables"]) > 2
    assert not any(found["tables"])
    # What is too small, and what is not said, is noticed.
    source = re.sub(r"min-width:\d+px", "min-width:900px;max-height:90px", source)
    source = re.sub(r"--least:\d+px", "--least:0px", source)
    found = measure(browse, source, tmp_path / "frame.html")
    assert found["least"] < 9
    assert (found["wide"], found["said"]) == (found["figures"], 0)
