"""Where and when a student runs: settings, store, queue, broker, Celery, and the command line."""
