"""Gates: what a candidate has to pass. `job` runs an evaluation, `output` reads what it left, `checks` judges it."""
