"""`make demo`: from `yield item` to a committed row on one machine, with figures that have to agree."""
