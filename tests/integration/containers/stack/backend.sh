#!/bin/sh
. /stack/connect.sh
connect postgres psql "$DATABASE_URL" -Atqc 'select 1'
connect redis sh -c 'test "$(redis-cli -u "$REDIS_URL" ping)" = PONG'
connect qdrant wget -qO- http://qdrant:6333/collections
echo "serving"
trap 'kill $!; exit 0' TERM
nc -ll -p 8000 -e /stack/backend-health.sh &
wait
