#!/bin/sh
. /stack/connect.sh
connect backend wget -qO- "$BACKEND_URL/health"
echo "serving"
exec nc -ll -p 3000 -e /stack/frontend-page.sh
