#!/bin/sh
. /stack/answer.sh
if [ -e /tmp/loaded ]; then answer '200 OK'; else answer '503 Service Unavailable'; fi
