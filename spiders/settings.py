"""A Scrapy project's settings. One line of them is about batching: `ADDONS`."""

BOT_NAME = "spiders"
SPIDER_MODULES = ["spiders.properties", "spiders.documentation"]

ADDONS = {"scrapy_batching.Addon": 500}

# Both spiders refuse to leave this machine, where nobody wrote a robots.txt for them.
ROBOTSTXT_OBEY = False
CONCURRENT_REQUESTS = 32
CONCURRENT_REQUESTS_PER_DOMAIN = 32
DOWNLOAD_DELAY = 0

TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
LOG_LEVEL = "INFO"

EXTENSIONS = {"spiders.stats_file.StatsFile": 900}
