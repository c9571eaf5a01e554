#!/bin/sh
# MLflow with passwords: nobody reads anything without one, and there is no default one.
# The PostgreSQL driver reads PGHOST, PGPORT, PGUSER and PGPASSWORD itself: no password in any address. It is named,
# because SQLAlchemy 2.1 took another one as its default.
set -eu
if [ "${#MLFLOW_ADMIN_PASSWORD}" -lt 12 ]; then
    echo "MLFLOW_ADMIN_PASSWORD has fewer than 12 characters" >&2
    exit 2
fi
umask 077
MLFLOW_AUTH_CONFIG_PATH="$(mktemp -d)/auth.ini"
export MLFLOW_AUTH_CONFIG_PATH
password="$(printf %s "$MLFLOW_ADMIN_PASSWORD" | sed 's/%/%%/g')"  # configparser's sign
cat > "$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = READ
database_uri = postgresql+psycopg2:///mlflow_auth
admin_username = admin
admin_password = $password
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
END
unset MLFLOW_ADMIN_PASSWORD password
exec mlflow server --app-name basic-auth --host "${MLFLOW_LISTEN:-0.0.0.0}" --port "${MLFLOW_PORT:-5000}" \
    --workers "${MLFLOW_WORKERS:-2}" --backend-store-uri postgresql+psycopg2:///mlflow \
    --artifacts-destination "${MLFLOW_ARTIFACTS:-s3://mlflow}" --serve-artifacts
