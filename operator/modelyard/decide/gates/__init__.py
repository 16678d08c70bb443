"""Gates: what a candidate has to pass. `passage` leads it past them and `asking` asks each; `job` makes an evaluation,
`ending` and `output` read what became of it, `checks` judges its numbers, `results` keeps the answers."""
