#!/bin/sh
. /stack/answer.sh
answer '200 OK'
