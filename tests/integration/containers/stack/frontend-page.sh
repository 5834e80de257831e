#!/bin/sh
. /stack/answer.sh
if wget -qO- "$BACKEND_URL/health" >/dev/null 2>&1; then answer '200 OK'; else answer '502 Bad Gateway'; fi
