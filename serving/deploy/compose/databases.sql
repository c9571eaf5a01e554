-- MLflow's users lie beside its runs, in a database of their own.
CREATE DATABASE mlflow_auth;
