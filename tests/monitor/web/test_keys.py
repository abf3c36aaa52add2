from __future__ import annotations

from bistill.monitor.web.keys import MOST_BROWSERS, Keys


def test_a_token_works_once_and_another_follows() -> None:
    keys = Keys(8000)
    first = keys.token
    cookie = keys.exchange(first)
    assert cookie is not None and keys.knows(cookie)
    assert keys.exchange(first) is None
    assert keys.token != first
    other = keys.exchange(keys.token)
    assert other is not None and other != cookie and keys.knows(cookie)


def test_what_is_not_the_token_spends_nothing() -> None:
    keys = Keys(8000)
    token = keys.token
    for text in ("", "x", token[:-1], token + "x", "토큰"):
        assert keys.exchange(text) is None
    assert keys.token == token
    assert not keys.knows("") and not keys.knows(token) and not keys.knows("쿠키")


def test_the_browser_that_came_first_is_forgotten_first() -> None:
    keys = Keys(8000)
    cookies = [keys.exchange(keys.token) for _ in range(MOST_BROWSERS + 1)]
    assert [keys.knows(cookie) for cookie in cookies if cookie] == [False] + [True] * MOST_BROWSERS


def test_two_monitors_of_one_machine_have_cookies_of_their_own() -> None:
    assert Keys(8000).cookie_name != Keys(8001).cookie_name
