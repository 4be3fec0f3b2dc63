"""Tables as the catalogue, a model and the settings describe them."""
