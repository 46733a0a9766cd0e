#!/usr/bin/env bash
# The slower proofs: every fuzz target for a while, and the tests of faults
# again and again with the race detector, among them every pair of crashes that
# `make test` tries a part of. Goes on after a failure and ends with a summary.
#
#   FUZZTIME   for each fuzz target; default 30s
#   COUNT      how often the fault tests run; default 3
#   SOAKTIME   most for each package's fault tests; default 30m
#   EXHAUSTIVETIME  most for every pair of faults; default 3h
#   SESSIONS   simulated scans of each kind; default 200
set -uo pipefail
cd "$(dirname "$0")/.."

fuzztime=${FUZZTIME:-30s}
count=${COUNT:-3}
soaktime=${SOAKTIME:-30m}
race=(-race -gcflags=modernc.org/...=-d=checkptr=0)
summary=()
failed=0

# run NAME COMMAND...: runs it and notes how it ended.
run() {
  local name=$1 began=$SECONDS verdict=ok
  shift
  echo "== $name"
  "$@" || { verdict=FAILED; failed=$((failed + 1)); }
  summary+=("$(printf '%-7s %5ds  %s' "$verdict" $((SECONDS - began)) "$name")")
}

targets=0
for package in $(go list ./...); do
  # A package whose tests do not build fails here, not in silence.
  if ! list=$(go test -run '^$' -list '^Fuzz' "$package"); then
    echo "$list"
    summary+=("FAILED         list the fuzz targets of $package")
    failed=$((failed + 1))
    continue
  fi
  # The engine makes every input that it finds interesting shorter first, for up
  # to a minute each: that would be all of the time.
  for target in $(grep '^Fuzz' <<<"$list"); do
    targets=$((targets + 1))
    run "fuzz $target ($package)" go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -fuzzminimizetime 1s "$package"
  done
done

run "every pair of crashes (internal/journey)" env LATCHKEY_SOAK=1 \
  go test "${race[@]}" -v -count 1 -timeout "$soaktime" -run TestAnyTwoFaultsThenAgain ./internal/journey
run "every restore of three attempts, every path of the model (internal/escrow)" env LATCHKEY_SOAK=1 \
  go test "${race[@]}" -v -count 1 -timeout "$soaktime" -run 'TestEveryRestore|TestEscrowIsTheModel' ./internal/escrow
# A third of an hour or more on two cores; without the race detector, which takes four
# times as long and sees the same code in other tests.
run "every fault and every pair of faults (internal/exhaustive)" env LATCHKEY_SOAK=1 \
  go test -v -count 1 -timeout "${EXHAUSTIVETIME:-3h}" -run TestEveryFault ./internal/exhaustive
run "every path of the protocol (internal/model)" env LATCHKEY_SOAK=1 \
  go test -v -count 1 -timeout "$soaktime" ./internal/model
for package in journey store unlock escrow e2e; do
  run "faults, $count times (internal/$package)" \
    go test "${race[@]}" -count "$count" -timeout "$soaktime" "./internal/$package"
done
run "attack runs, ${SESSIONS:-200} sessions of each (internal/face/attacks)" go run ./internal/face/attacks/report -n "${SESSIONS:-200}"

echo
echo "Soak: $targets fuzz targets for $fuzztime each, fault tests $count times"
printf '%s\n' "${summary[@]}"
if [ "$failed" -gt 0 ]; then
  echo "$failed FAILED"
  exit 1
fi
echo "all ok"
