"""The browser that other tests use really renders and runs scripts."""

from __future__ import annotations

from tests.peers.browser import chromium


def test_chromium_renders_a_page_and_runs_its_script() -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.set_content("<p id=a>before</p><script>document.getElementById('a').textContent = 'after'</script>")
        assert page.inner_text("#a") == "after"
