#!/bin/sh
# Run once by the image of PostgreSQL, as its superuser, on an empty data folder: the database and its two roles.
# What the service may do is told by "manage migrate", once the tables are there.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres \
    --set=owner="$(cat /run/secrets/owner_password)" --set=service="$(cat /run/secrets/service_password)" <<'SQL'
CREATE ROLE mugsearch LOGIN PASSWORD :'owner';
CREATE ROLE mugsearch_service LOGIN PASSWORD :'service';
GRANT pg_monitor TO mugsearch;
CREATE DATABASE mugsearch OWNER mugsearch;
SQL
