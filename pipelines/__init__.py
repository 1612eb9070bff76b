"""The life of a student: examples, encode, heads, student, fit, finetune, compress, evaluate, release, predict."""
