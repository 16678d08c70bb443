"""A training script as people write them: run with a model's name and an alias, it prints what it made."""

import sys

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

name, alias = sys.argv[1:]
table = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0], "fraud": [0, 0, 1, 1]})
mlflow.set_experiment("fraud")
with mlflow.start_run(tags={"mlflow.source.git.commit": "3f2a9c1"}) as run:
    mlflow.log_params({"C": 0.5, "solver": "lbfgs"})
    mlflow.log_metrics({"auc": 0.91, "nan": float("nan")})
    mlflow.log_input(
        mlflow.data.from_pandas(table, source="s3://data/payments.csv", name="payments"), context="training"
    )
    model = LogisticRegression(C=0.5).fit(table[["amount"]], table["fraud"])
    logged = mlflow.sklearn.log_model(
        model, name="model", registered_model_name=name, input_example=table[["amount"]], serialization_format="skops"
    )
client = MlflowClient()
client.set_registered_model_alias(name, alias, "1")
print(f"run={run.info.run_id} model_id={logged.model_id}")
