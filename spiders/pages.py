"""The sample site's HTML: a list page with cards, a page for each property, flaws included."""

import json
from collections.abc import Sequence
from html import escape

from spiders.listings import Flaw, Listing

ON_A_PAGE = 25


def home(count: int) -> str:
    """The front page."""
    return _page("Under One Roof", f'<p>{count} properties for sale.</p><p><a href="/properties">See them all</a></p>')


def list_page(listings: Sequence[Listing], page: int) -> str:
    """Page `page` (from 1) of the list, and the properties that every page advertises again."""
    here = listings[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
    cards = "\n".join(_card(listing) for listing in here)
    featured = "\n".join(f'<li><a href="{listing.path}">{escape(listing.title)}</a></li>' for listing in listings[:3])
    previous = f'<a rel="prev" href="/properties?page={page - 1}">Previous</a>' if page > 1 else ""
    following = f'<a rel="next" href="/properties?page={page + 1}">Next</a>' if page * ON_A_PAGE < len(listings) else ""
    return _page(
        f"Properties, page {page}",
        f'<section class="results">\n{cards}\n</section>\n<aside><ul class="featured">{featured}</ul></aside>\n'
        f'<nav class="pages">{previous} {following}</nav>',
    )


def detail_page(listing: Listing) -> str:
    """The page of one property."""
    html = _page(listing.title, _detail(listing), head=_structured_data(listing))
    if listing.flaw is Flaw.CUT_OFF:
        return html[: html.index('<dl class="facts">') + 40]
    return html


def _page(title: str, body: str, head: str = "") -> str:
    title = escape(title)
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>{head}</head>
<body>
<header><a href="/">Under One Roof</a></header>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def _card(listing: Listing) -> str:
    return (
        f'<article class="card"><h2><a href="{listing.path}">{escape(listing.title)}</a></h2>'
        f'<p class="price">{_price(listing)}</p></article>'
    )


def _detail(listing: Listing) -> str:
    reference = "" if listing.flaw is Flaw.NO_REFERENCE else f'<p class="reference">Ref. <b>{listing.reference}</b></p>'
    listed = "2026-02-30" if listing.flaw is Flaw.BAD_DATE else listing.listed_on.isoformat()
    updated = f'datetime="{listing.updated_at.isoformat()}">{listing.updated_at:%d %B %Y}'
    features = "".join(f"<li>{escape(feature)}</li>" for feature in listing.features)
    return f"""{reference}
<p class="price" data-currency="{listing.currency}">{_price(listing)}</p>
<address><span class="street">{escape(listing.street)}</span>, <span class="postcode">{listing.postcode}</span>
 <span class="city">{listing.city}</span></address>
<dl class="facts">
<dt>Bedrooms</dt><dd>{listing.bedrooms}</dd>
<dt>Bathrooms</dt><dd>{listing.bathrooms}</dd>
<dt>Area</dt><dd>{listing.area} m²</dd>
<dt>Listed on</dt><dd><time class="listed" datetime="{listed}">{listed}</time></dd>
<dt>Updated</dt><dd><time class="updated" {updated}</time></dd>
</dl>
<ul class="features">{features}</ul>
<div class="description"><p>{escape(listing.description)}</p></div>
<p class="close"><a href="/properties">Back to the list</a></p>"""


def _price(listing: Listing) -> str:
    if listing.flaw is Flaw.NO_PRICE:
        return "Price on application"
    return f"{listing.currency} {listing.price:,}"


def _structured_data(listing: Listing) -> str:
    agent = listing.agent.replace(" ", "\0", 1) if listing.flaw is Flaw.NUL else listing.agent
    data = {
        "@context": "https://schema.org",
        "@type": "RealEstateListing",
        "geo": {"latitude": listing.latitude, "longitude": listing.longitude},
        "provider": {"@type": "RealEstateAgent", "name": agent},
    }
    # "<" would end the script element; JSON may write it as an escape
    text = json.dumps(data).replace("<", "\\u003c")
    return f'<script type="application/ld+json">{text}</script>'
