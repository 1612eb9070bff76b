"""One module per verb: its help, `add_arguments(parser)`, and `run(options, settings)`, which gives the data of --json."""
