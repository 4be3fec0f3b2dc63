import pytest

from spiders.loopback import require_loopback


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/", "http://localhost/docs/", "https://[::1]:8443/x", "http://127.9.9.9"]
)
def test_an_address_on_this_machine_passes(url):
    assert require_loopback(url, argument="site") == url


@pytest.mark.parametrize(
    "url", ["http://example.org/", "http://10.0.0.1/", "http://localhost.example.org/", "http://[2001:db8::1]/"]
)
def test_a_foreign_host_is_refused_by_name(url):
    with pytest.raises(ValueError, match="not on this machine") as refused:
        require_loopback(url, argument="site")
    assert url in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "file:///etc/passwd", "http://", "http://[::1", "http://127.0.0.1:x/"]
)
def test_what_is_no_web_address_is_refused_with_the_remedy(url):
    with pytest.raises(ValueError, match="say -a start="):
        require_loopback(url, argument="start")
