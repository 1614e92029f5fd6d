"""Published cases of others, which lie beside the repository; the counts are asserted."""
