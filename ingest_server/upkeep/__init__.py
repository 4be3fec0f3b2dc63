"""What an operator does with the database itself: look into it, back it up, restore it, upgrade the embedded one."""
