"""The console: web pages over the store, served to analysts, and to reviewers who may see texts. See docs/console.md."""
