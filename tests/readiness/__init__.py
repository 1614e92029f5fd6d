"""Real migrations, before and after, by what is said of them."""
