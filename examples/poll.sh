#!/bin/sh
# Print each new registration as one line of JSON, with nothing but a shell, jq, and curl (7.84 or newer).
#
#     ./poll.sh http://127.0.0.1:8470/v1/triggers/OnNewRegistration/poll place.txt
#
# It goes on at Location and waits Retry-After seconds, as the engine says (0: more waits). The place it has reached is
# kept in the second argument's file, so that nothing is missed while it is down; what was printed but not noted there
# comes again, with the same id. An API key may be in API_KEY. It ends at an answer that no waiting mends.
set -eu

start=$1
place=$2
[ -s "$place" ] || printf '%s\n' "$start" >"$place"

folder=$(mktemp -d)
sleeping=
trap 'rm -rf "$folder"' EXIT
trap 'kill $sleeping 2>/dev/null || true; exit 0' INT TERM

set -- --silent --show-error --max-time 60 --output "$folder/body" \
  --write-out '%{http_code}\n%header{location}\n%header{retry-after}\n'
if [ -n "${API_KEY:-}" ]; then # by a file, because others can see a program's arguments
  (umask 077 && printf 'header = "X-API-Key: %s"\n' "$API_KEY" >"$folder/key")
  set -- "$@" --config "$folder/key"
fi

while true; do
  curl "$@" "$(cat "$place")" >"$folder/answer" || true
  { read -r status && read -r next && read -r pause; } <"$folder/answer"
  case $status in
    200) jq --compact-output '.value[]' "$folder/body" ;;
    202) ;;
    000 | 429 | 5*) ;; # nobody answers, or not now: the place stays
    *)
      cat "$folder/body" >&2
      exit 1
      ;;
  esac
  if [ -n "$next" ]; then
    printf '%s\n' "$next" >"$place.new"
    mv "$place.new" "$place"
  fi
  sleep "${pause:-10}" & # waited for, because a shell that waits can be interrupted
  sleeping=$!
  wait "$sleeping"
done
