FROM python:3.11-slim
RUN pip install --no-cache-dir "mlflow[auth]==3.17.2" "psycopg2-binary==2.9.13" "boto3==1.43.117" \
    && useradd --uid 1000 --create-home mlflow
COPY mlflow.sh buckets.py /
USER 1000
EXPOSE 5000
ENTRYPOINT ["/bin/sh", "/mlflow.sh"]
