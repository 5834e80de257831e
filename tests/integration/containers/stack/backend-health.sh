#!/bin/sh
. /stack/answer.sh
if psql "$DATABASE_URL" -Atqc 'select 1' >/dev/null 2>&1; then answer '200 OK'; else answer '503 Service Unavailable'; fi
