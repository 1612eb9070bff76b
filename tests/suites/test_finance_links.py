"""What about a link is meant to deceive, as reasons with their evidence."""

from __future__ import annotations

import pytest

from suites.types import Finding

from .finance import read


def deceits(text: str, *organisations: str) -> list[tuple[str, str, str | None]]:
    """Code, place and evidence of the reasons that links give; the student has found these organisations."""
    named = [Finding("parties", "ORGANISATION", 0.9, text.index(name), text.index(name) + len(name)) for name in organisations]
    return [(f.label, text[f.start : f.end], f.value) for f in read(text, named, task="reasons") if f.label.endswith("_LINK") or f.label == "LINK_MISMATCH"]


LOOKALIKE = {
    "a digit for a letter": ("https://paypa1.com/x", "drawn_like=paypal"),
    "two letters for one": ("https://rnicrosoft.com/x", "drawn_like=microsoft"),
    "a letter left out": ("https://facebok.com/x", "drawn_like=facebook"),
    "two letters swapped": ("https://netfilx.com/x", "drawn_like=netflix"),
    "letters of another script": ("https://раураl.com/x", "drawn_like=paypal"),
    "punycode": ("https://xn--pypal-4ve.com/x", "drawn_like=paypal"),
    "before another domain": ("https://paypal.com.pay-in.example/x", "in_subdomain=paypal"),
    "alone before another domain": ("https://hmrc.claims.example/x", "in_subdomain=hmrc"),
    "in the path": ("https://evil.example/paypal.com/login", "in_path=paypal"),
    "with a word more": ("https://dhl-paket.example/x", "with_more=dhl"),
    "glued to a word": ("https://paypalsecure.example/x", "with_more=paypal"),
    "a word of bait": ("https://fernhill-unlock.example/x", "bait_word=unlock"),
}


@pytest.mark.parametrize(("link", "how"), LOOKALIKE.values(), ids=LOOKALIKE.keys())
def test_an_imitated_name_is_seen(link: str, how: str) -> None:
    """A domain that shows a much-imitated name, or lures with a word, is a reason whose range is the link and whose value says how."""
    assert deceits(f"Go to {link} now.") == [("LOOKALIKE_LINK", link, how)]


@pytest.mark.parametrize(
    "link",
    [
        *(
            "https://www.paypal.com/signin",
            "https://mail.google.com/x",
            "https://www.amazon.co.uk/x",
            "https://login.microsoftonline.com/x",
            "https://dhl.de/x",
        ),
        *(
            "https://chaser.com/x",
            "https://apples.example/x",
            "https://example.co.uk/apple-tart",
            "https://goggles.example/x",
            "https://track.parcelway.example/x",
        ),
        *("https://outlook.office.com/mail", "https://outlook.office365.com/x", "https://outlook.live.com/x", "https://account.live.com/x"),
        *("https://nhs.sharepoint.com/x", "https://dhl.eventbrite.com/x", "https://google.zoom.us/j/1"),
        *("https://www.google-analytics.com/x", "https://c.amazon-adsystem.com/x", "https://shop.example/olive.company/x"),
        *("https://www.pineapple.com/x", "https://news.example/paypal-results", "https://t-online.example/x"),
    ],
)
def test_an_honest_domain_is_none(link: str) -> None:
    """A name's own domain, ordinary words that are near a name, and a name in an ordinary path imitate nothing."""
    assert deceits(f"See {link} please.") == []


@pytest.mark.parametrize(
    ("link", "unsure"),
    [
        *((f"https://{domain}/x", True) for domain in ("apple-orchard.org", "booking-hotel-paris.fr", "the-amazon-river.org", "chase-lodge.co.uk")),
        *((f"https://{domain}/x", False) for domain in ("apple-support.com", "secure-chase.com", "verifyapple.uk", "amazon.orders-login.example")),
        *((f"https://{domain}/x", False) for domain in ("apple.com.help.example", "apple.com-help.example", "dhl-paket.example")),
        *((f"https://{domain}/x", False) for domain in ("paypal-verify.zendesk.com", "paypa1.zendesk.com", "paypal.com.zendesk.com")),
    ],
)
def test_a_name_that_is_a_word_needs_bait_to_be_sure(link: str, unsure: bool) -> None:
    """Of names that are words the imitation is sure beside a word of bait or with the name's own domain shown; before a host of others' pages too."""
    assert [f.unsure for f in read(f"Go to {link} now.", task="reasons") if f.label == "LOOKALIKE_LINK"] == [unsure]


def test_an_organisation_that_the_text_names_is_compared_with() -> None:
    """A domain that puts a named organisation before another domain, beside other words or a letter off, imitates it."""
    text = "Fernhill Bank: log in at https://{}/x today"
    for domain, how in [
        ("fernhill.verify.example", "in_subdomain=organisation"),
        ("fernhill-re.example", "with_more=organisation"),
        ("fernhi11-bank.example", "drawn_like=organisation"),
    ]:
        assert deceits(text.format(domain), "Fernhill Bank") == [("LOOKALIKE_LINK", f"https://{domain}/x", how)]
    for own in ("fernhill.example", "fernhillbank.example", "fernhill-bank.example", "my.fernhillbank.example", "fernhill.zendesk.com"):
        assert deceits(text.format(own), "Fernhill Bank") == []


HIDDEN = {
    "an address": ("http://192.0.2.45/x", "ip_host"),
    "an address as a number": ("http://3232235777/x", "ip_host"),
    "a port": ("https://shop.example:8443/x", "port"),
    "a name before the host": ("https://www.bank.example@shop.example/x", "userinfo"),
    "a shortener": ("https://bit.ly/3xYz", "shortener"),
    "all at once": ("http://login.bank.example@192.0.2.7:81/x", "userinfo+ip_host+port"),
    "letters beyond ASCII": ("https://xn--mnchen-3ya.example/x", "punycode"),
}


@pytest.mark.parametrize(("link", "how"), HIDDEN.values(), ids=HIDDEN.keys())
def test_a_link_that_hides_its_target_is_seen(link: str, how: str) -> None:
    """Who cannot see where a link leads is told why."""
    assert deceits(f"Go to {link} now.") == [("HIDDEN_LINK", link, how)]


MISMATCHED = {
    "in brackets": "www.bank.example (http://evil.example/x)",
    "in angles": "www.bank.example <http://evil.example/x>",
    "in markdown": "[www.bank.example](http://evil.example/x)",
    "a bare domain in markdown": "[bank.example](http://evil.example/x)",
    "an arrow": "www.bank.example -> http://evil.example/x",
    "in HTML": '<a href="http://evil.example/x" style="a">www.bank.example</a>',
}


@pytest.mark.parametrize("text", MISMATCHED.values(), ids=MISMATCHED.keys())
def test_a_link_that_shows_another_domain_is_seen(text: str) -> None:
    """Where a text shows one domain and leads to another, the target is the evidence and the domain shown its value."""
    assert deceits(f"Open {text} now") == [("LINK_MISMATCH", "http://evil.example/x", "bank.example")]


@pytest.mark.parametrize(
    "text",
    [
        "www.bank.example (https://my.bank.example/x)",
        "[bank.example](https://www.bank.example/x)",
        "[here](http://evil.example/x)",
        "www.bank.example and http://evil.example/x",
        "www.bank.example, (see http://evil.example/x)",
        '<a href="https://bank.example/x">www.bank.example</a>',
    ],
)
def test_links_that_agree_or_only_stand_together_are_none(text: str) -> None:
    """The same domain twice, a text without a domain, and two links in a sentence are no mismatch."""
    assert deceits(f"Open {text} now") == []


def test_an_address_is_compared_too() -> None:
    """The domain of an e-mail address may imitate a name."""
    assert deceits("Write to service@paypa1.com today") == [("LOOKALIKE_LINK", "service@paypa1.com", "drawn_like=paypal")]
