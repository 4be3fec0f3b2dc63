"""Items into values of a table's columns, or a reason why not."""
