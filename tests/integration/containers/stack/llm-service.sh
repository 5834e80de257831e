#!/bin/sh
# Listens at once, and answers 503 until its model is loaded.
(sleep "$LOADING_SECONDS" && touch /tmp/loaded && echo "model loaded") &
exec nc -ll -p 9000 -e /stack/llm-service-health.sh
