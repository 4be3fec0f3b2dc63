"""The sample Scrapy project: two spiders, the site that one of them crawls, and the demo."""
