"""Fuzzing: whatever bytes come, the readers of files, rules and settings answer with rows, rejects or the errors they promise."""
